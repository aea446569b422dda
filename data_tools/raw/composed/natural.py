"""Real sounds, photographs and captions of seven or ten things, from public collections."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_tools.io.files import reading
from data_tools.raw.composed import natural_downloads
from data_tools.raw.composed.composed_dataset import ComposedDataset
from data_tools.raw.composed.items import BACKGROUND, Item
from data_tools.raw.composed.naming_words import KIN, named_classes

SOUNDS, ANIMALS = "ESC-10", "Animal-Sound-Dataset"
SMALL, SMALLER = "CIFAR-10-images", "CIFAR-100-dataset"
CAPTIONED = "audiocaps"
ALL_CLASSES = ("dog", "cat", "bird", "frog", "baby", "clock", "sea", "cow", "lion", "monkey")
DEFAULT_CLASSES = 7
"""The first of them, which have sounds, photographs and captions."""
SOUND_FOLDERS = {
    "Dog bark": "dog",
    "Baby cry": "baby",
    "Clock tick": "clock",
    "Sea waves": "sea",
}
"""Folder of ESC-10, without its number, to class; the others are background."""
UNCLEAR_SOUNDS = ("Rooster",)
"""Folders of ESC-10 that are neither: a rooster is a bird."""
ANIMAL_FOLDERS = {
    "Aslan": "lion",
    "Inek": "cow",
    "Kedi": "cat",
    "Kopek": "dog",
    "Kurbaga": "frog",
    "Kus": "bird",
    "Maymun": "monkey",
}
"""Folder of the animal sounds, without its part, to class."""
PICTURE_FOLDERS = {
    **{name: name for name in ("dog", "cat", "bird", "frog", "baby", "clock", "sea", "lion")},
    "cattle": "cow",
    "chimpanzee": "monkey",
}
PICTURED = {
    SMALL: ("dog", "cat", "bird", "frog"),
    SMALLER: ("baby", "clock", "sea", "cow", "lion", "monkey"),
}
"""Collection of photographs to the classes that it has."""
SCENES = (
    "bottle",
    "bridge",
    "castle",
    "chair",
    "cloud",
    "forest",
    "house",
    "mountain",
    "plain",
    "road",
)
"""Folders of CIFAR-100 that are background."""
_FREESOUND = re.compile(r"\d+-(\d+)-\w+")


class Natural(ComposedDataset):
    """Recordings (ESC-10, animal sounds), photographs (CIFAR) and captions (AudioCaps) by class.

    Args:
        root: folder with the collections in their own layouts; whichever are there are read.
            Photographs that are not there, for a class that needs them, come from
            `keras.datasets`. The same files are downloaded into the cache if None.
        split: "official", the only one: by a hash of the Freesound recording, file or video.
        classes: 7 for dog, cat, bird, frog, baby, clock and sea, 10 for cow, lion and monkey too,
            whose captions are few or none; or names with commas between.
        options: of `ComposedDataset`.

    Raises:
        FileNotFoundError: if a folder does not exist, or a download failed.
        ValueError: if an argument is wrong, or a class lacks sounds or photographs.

    References:
        Piczak, "ESC: dataset for environmental sound classification", ACM MM 2015. Krizhevsky,
        "Learning multiple layers of features from tiny images", 2009. Kim et al., "AudioCaps:
        generating captions for audios in the wild", NAACL 2019.
    """

    name = "natural"
    categories = ALL_CLASSES[:DEFAULT_CLASSES]

    def __init__(
        self,
        root: str | None = None,
        split: str | None = None,
        classes: int | str = DEFAULT_CLASSES,
        **options: Any,
    ) -> None:
        if isinstance(classes, int):
            if classes not in (DEFAULT_CLASSES, len(ALL_CLASSES)):
                raise ValueError(
                    f"`classes` must be {DEFAULT_CLASSES}, {len(ALL_CLASSES)} or names. Received: "
                    f"{classes}"
                )
            names = ALL_CLASSES[:classes]
        else:
            names = tuple(name.strip() for name in classes.split(","))
        if unknown := [name for name in names if name not in ALL_CLASSES]:
            raise ValueError(f"`classes` must be of {ALL_CLASSES}. Received: {unknown}")
        super().__init__(root, split, names, **options)

    @property
    def masked_categories(self) -> tuple[str, ...]:
        # A dog may bark at geese: no class is named, whether or not it is in use.
        return tuple(KIN)

    def options(self) -> dict[str, Any]:
        return {**super().options(), "classes": ",".join(self.categories)}

    def read_items(self, root: str | None) -> list[Item]:
        if root is None:
            return list(read_collections(natural_downloads.find()))
        missing = [
            collection
            for collection, classes in PICTURED.items()
            if not (Path(root) / collection).is_dir() and set(classes) & set(self.categories)
        ]
        check_root(Path(root))
        found = natural_downloads.find(collections=missing) if missing else Path(root)
        return list(read_collections(Path(root), dict.fromkeys(missing, found)))


def check_root(root: Path) -> None:
    """Raises a FileNotFoundError unless a folder holds any of the collections.

    Args:
        root: the folder.

    Raises:
        FileNotFoundError: if the folder does not exist or holds none of the collections.
    """
    names = (SOUNDS, ANIMALS, SMALL, SMALLER, CAPTIONED)
    if not any((root / name).is_dir() for name in names):
        raise FileNotFoundError(f"`root` must be a folder with any of {names}. Received: {root}")


def read_collections(root: Path, elsewhere: Mapping[str, Path] | None = None) -> Iterator[Item]:
    """Items of all collections below a folder.

    Args:
        root: the folder, which holds any of the collections under their names.
        elsewhere: collection of pictures to the folder that holds it instead of `root`.

    Yields:
        The items, of all ten classes and the background.

    Raises:
        ValueError: if the captions are damaged.
    """
    yield from _esc_10(root)
    yield from _animal_sounds(root)
    for collection in (SMALL, SMALLER):
        yield from _pictures((elsewhere or {}).get(collection, root), collection)
    yield from _captions(root)


def _files(folder: Path, *suffixes: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _esc_10(root: Path) -> Iterator[Item]:
    for folder in _folders(root / SOUNDS):
        kind = folder.name.partition(" - ")[2]
        if not kind or kind in UNCLEAR_SOUNDS:
            continue
        category = SOUND_FOLDERS.get(kind, BACKGROUND)
        for path in _files(folder, ".ogg", ".wav"):
            match = _FREESOUND.fullmatch(path.stem)
            group = f"freesound:{match[1]}" if match else f"{SOUNDS}:{path.stem}"
            name = path.relative_to(root).as_posix()
            yield Item("audio", name, category, group, SOUNDS, str(path))


def _animal_sounds(root: Path) -> Iterator[Item]:
    for folder in _folders(root / ANIMALS):
        category = ANIMAL_FOLDERS.get(folder.name.partition("-")[0])
        for path in _files(folder, ".wav") if category else ():
            name = path.relative_to(root).as_posix()
            yield Item("audio", name, category or "", f"{ANIMALS}:{path.stem}", ANIMALS, str(path))


def _pictures(root: Path, collection: str) -> Iterator[Item]:
    for part in ("train", "test"):
        for folder in _folders(root / collection / part):
            category = PICTURE_FOLDERS.get(folder.name)
            if category is None and folder.name not in SCENES:
                continue
            for path in _files(folder, ".jpg", ".png"):
                name = path.relative_to(root).as_posix()
                kind = BACKGROUND if category is None else category
                yield Item("video", name, kind, name, collection, str(path))


def _captions(root: Path) -> Iterator[Item]:
    for part in ("train", "val", "test"):
        path = root / CAPTIONED / "dataset" / f"{part}.csv"
        if not path.is_file():
            continue
        with (
            reading(path, "be the table audiocap_id,youtube_id,start_time,caption"),
            path.open(encoding="utf-8", newline="") as stream,
        ):
            for line in csv.DictReader(stream):
                caption = line["caption"] or ""
                named = named_classes(caption, ALL_CLASSES)
                if len(named) == 1:
                    yield Item(
                        "text",
                        line["audiocap_id"],
                        named[0],
                        f"youtube:{line['youtube_id']}",
                        CAPTIONED,
                        caption=caption,
                    )
