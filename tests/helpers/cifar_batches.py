"""Made-up batches of CIFAR, as Keras keeps them, of plain colours."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from data_tools.raw.composed.keras_pictures import COLLECTIONS, encode
from data_tools.raw.composed.natural_downloads import folder_checksum

CLASSES = {"cifar10": ("cat", "dog"), "cifar100": ("apple", "sea", "road")}
NUMBER = 15
"""Pictures of a class in each part."""


def colour(module: str, part: str, category: str, number: int) -> np.ndarray:
    """Colour of a picture."""
    place = CLASSES[module].index(category)
    return np.array([60 * place + 20, 10 * number, 200 if part == "test" else 50], np.uint8)


def _rows(module: str, part: str) -> list[tuple[int, str, np.ndarray]]:
    """Label, original file name and pixels, class after class in turn."""
    rows = []
    for number in range(NUMBER):
        for label, category in enumerate(CLASSES[module]):
            pixels = np.broadcast_to(colour(module, part, category, number), (32, 32, 3))
            rows.append((label, f"{category}_s_{number:06d}.png", pixels))
    return rows


def write(folder: Path, module: str) -> None:
    """Writes the batches of a data set below the data sets of a Keras home."""
    collection = next(each for each in COLLECTIONS.values() if each.module == module)
    target = folder / f"{collection.folder}-target" / collection.folder
    target.mkdir(parents=True)
    file, entry = collection.classes
    _dump(target / file, {entry: list(CLASSES[module])})
    for part, files in collection.parts.items():
        rows = _rows(module, part)
        for place, name in enumerate(files):
            own = rows[place * len(rows) // len(files) : (place + 1) * len(rows) // len(files)]
            data = np.stack([pixels.transpose(2, 0, 1).reshape(-1) for _, _, pixels in own])
            _dump(
                target / name,
                {
                    "batch_label": part,
                    "data": data,
                    collection.labels: [label for label, _, _ in own],
                    "filenames": [name for _, name, _ in own],
                },
            )


def _dump(path: Path, table: dict) -> None:
    path.write_bytes(pickle.dumps(table, protocol=2))


def listing() -> dict:
    """Listing of the published folders of dogs, seas and roads."""
    result: dict = {}
    for name, collection in COLLECTIONS.items():
        folders = {}
        for part in collection.parts:
            for category in {"dog", "sea", "road"} & set(CLASSES[collection.module]):
                contents = {}
                for number in range(0, NUMBER - 5):
                    pixels = np.broadcast_to(
                        colour(collection.module, part, category, number), (32, 32, 3)
                    )
                    file = (
                        f"{number:04d}.jpg"
                        if name.startswith("CIFAR-10-")
                        else (f"{category}_s_{number:06d}.png")
                    )
                    contents[file] = encode(pixels, collection.suffix)
                folders[f"{part}/{category}"] = {
                    "sha256": folder_checksum(contents),
                    "files": sorted(contents),
                }
        result[name] = {"repository": name, "commit": "abc", "folders": folders}
    return result
