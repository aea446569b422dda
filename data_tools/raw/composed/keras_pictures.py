"""Photographs of CIFAR from `keras.datasets`, under the names of the published folders."""

from __future__ import annotations

import io
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data_tools.io.files import atomic_file
from data_tools.untrusted import read_pickled_table

SIDE = 32
JPEG_QUALITY = 75
"""With which the published folder of CIFAR-10 was written."""
MAX_BYTES = 2**28
"""Of a batch; the training pictures of CIFAR-100 take 155 MB."""
TIMEOUT = 60.0
"""Seconds that a connection may stay silent."""


class Batches(NamedTuple):
    """Where Keras keeps a data set, and how its rows are named."""

    module: str
    """In `keras.datasets`."""
    folder: str
    """Of the extracted archive."""
    classes: tuple[str, str]
    """File and entry of the names of the classes."""
    labels: str
    """Entry of the class of each row."""
    parts: Mapping[str, tuple[str, ...]]
    """Files of "train" and "test"."""
    suffix: str
    """Of the published files."""


COLLECTIONS = {
    "CIFAR-10-images": Batches(
        "cifar10",
        "cifar-10-batches-py",
        ("batches.meta", "label_names"),
        "labels",
        {
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
        ".jpg",
    ),
    "CIFAR-100-dataset": Batches(
        "cifar100",
        "cifar-100-python",
        ("meta", "fine_label_names"),
        "fine_labels",
        {"train": ("train",), "test": ("test",)},
        ".png",
    ),
}
"""Collection of the natural data set to its batches."""


def write_pictures(collection: str, folders: Mapping[str, Mapping[str, Any]], target: Path) -> None:
    """Writes the listed photographs of a collection, as the published folders have them.

    Files of CIFAR-100 are named as in the original batches; files of CIFAR-10 are numbered within
    their class, in the order of the batches. Keras downloads and verifies the batches unless they
    are in its cache. The batches are read without unpickling.

    Args:
        collection: one of `COLLECTIONS`.
        folders: folder such as "train/dog" to its `files`.
        target: folder to write them to.

    Raises:
        FileNotFoundError: if the batches are neither in the cache nor can be downloaded.
        ValueError: if a batch is damaged, or lacks a listed file.
    """
    batches = COLLECTIONS[collection]
    folder = _find(batches)
    file, entry = batches.classes
    classes = _table(folder / file)[entry]
    for part, files in batches.parts.items():
        wanted = {
            name.removeprefix(f"{part}/"): set(listed["files"])
            for name, listed in folders.items()
            if name.startswith(f"{part}/")
        }
        for category, name, pixels in _rows([folder / file for file in files], batches, classes):
            if name in wanted.get(category, ()):
                wanted[category].remove(name)
                path = target / part / category / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(path) as temporary:
                    temporary.write_bytes(encode(pixels, batches.suffix))
        missing = [
            f"{part}/{category}/{name}" for category, names in wanted.items() for name in names
        ]
        if missing:
            raise ValueError(
                f"{folder} must hold the listed photographs of {collection}; {len(missing)} are "
                f"missing, such as {min(missing)}"
            )


def encode(pixels: np.ndarray, suffix: str) -> bytes:
    """Encodes a photograph as the published folders do.

    Args:
        pixels: (height, width, 3) uint8.
        suffix: ".jpg" or ".png".

    Returns:
        The content of the file.

    Example:
        >>> encode(np.zeros((32, 32, 3), np.uint8), ".png")[1:4]
        b'PNG'
    """
    stream = io.BytesIO()
    if suffix == ".jpg":
        Image.fromarray(pixels).save(stream, "JPEG", quality=JPEG_QUALITY)
    else:
        Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _find(batches: Batches) -> Path:
    found = _cached(batches)
    if found is None:
        import keras

        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT)
        try:
            getattr(keras.datasets, batches.module).load_data()
        # Keras raises a bare Exception if a download fails.
        except Exception as error:
            raise FileNotFoundError(
                f"keras.datasets.{batches.module} could not be loaded: {error}"
            ) from error
        finally:
            socket.setdefaulttimeout(before)
        found = _cached(batches)
    if found is None:
        raise FileNotFoundError(
            f"keras.datasets.{batches.module} must keep a folder {batches.folder} below one of "
            f"{[str(home) for home in _homes()]}"
        )
    return found


def _homes() -> list[Path]:
    # Keras takes the second if it cannot write to the first.
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return [Path(home), Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir(), ".keras")]


def _cached(batches: Batches) -> Path | None:
    file, _ = batches.classes
    files = [file, *(name for names in batches.parts.values() for name in names)]
    for home in _homes():
        for meta in sorted(home.glob(f"datasets/**/{batches.folder}/{file}")):
            if all((meta.parent / name).is_file() for name in files):
                return meta.parent
    return None


def _table(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        return read_pickled_table(stream, MAX_BYTES, str(path))


def _rows(
    paths: list[Path], batches: Batches, classes: list[str]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Class, file name and pixels of each row."""
    numbers = dict.fromkeys(classes, 0)
    for path in paths:
        table = _table(path)
        try:
            data, labels = table["data"], table[batches.labels]
            names = table["filenames"]
            pictures = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
            if data.dtype != np.uint8 or not len(pictures) == len(labels) == len(names):
                raise ValueError(f"{len(pictures)} pictures of {data.dtype}, {len(labels)} labels")
            for picture, label, name in zip(pictures, labels, names, strict=True):
                category = classes[label]
                if batches.module == "cifar10":
                    name = f"{numbers[category]:04d}{batches.suffix}"
                    numbers[category] += 1
                yield category, name, picture
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} must be a batch of CIFAR; reading it gave: {error!r}"
            ) from error
