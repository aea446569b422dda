"""Any sounds, pictures and captions that lie in folders named after their classes."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_tools.decoding.signatures import PICTURES, SOUNDS
from data_tools.io.files import reading
from data_tools.raw.composed.composed_dataset import ComposedDataset
from data_tools.raw.composed.items import BACKGROUND, SHARES, Item

TABLE = "files.csv"
FOLDERS = {"audio": "sounds", "video": "pictures"}
CAPTIONS = "captions"
BACKGROUND_FOLDER = "background"


class Folders(ComposedDataset):
    """A data set of one's own: `sounds/CLASS/*`, `pictures/CLASS/*` and `captions/CLASS.txt`.

    A caption file has a sentence a line. A class named `background` fills the seconds outside of
    events; without one there is noise and a plain texture. Instead of the folders a table
    `files.csv` may list `file,class,group` (and optionally `split`), with paths below the root;
    captions are then `.txt` files. Files of one group stay in one split; without groups each file,
    and each line of a caption file, is a group.

    A hash of a group may leave a class of few files without any in a split; `split="stratified"`
    divides the groups of each class and modality: a quarter for tests and 15 % for validation, at
    least one each of three groups or more.

    Args:
        root: the folder.
        split: "official", by a hash of the group, or "stratified".
        classes: names with commas between; all that have sounds and pictures if None.
        options: of `ComposedDataset`; `side` is 224 unless given.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if an argument or the table is wrong, or no class has sounds and pictures.
    """

    name = "folders"
    split_names = ("official", "stratified")
    categories = ()
    names_identify_files = False

    def __init__(
        self,
        root: str | None = None,
        split: str | None = None,
        classes: str | None = None,
        side: int = 224,
        **options: Any,
    ) -> None:
        items = self.read_items(root)
        have = [
            {item.category for item in items if item.modality == modality} - {BACKGROUND}
            for modality in FOLDERS
        ]
        known = sorted(have[0] & have[1])
        names = known if classes is None else [name.strip() for name in classes.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"`classes` must be of {known}. Received: {unknown}")
        if not names:
            raise ValueError(f"`root` must have a class with sounds and pictures: {root}")
        super().__init__(root, split, names, side=side, **options)
        if self.split == "stratified" and self.test_root is not None:
            raise ValueError(
                "`split` must be 'official' beside `test_root`, which fixes the tests."
            )

    def items(self) -> list[Item]:
        items = super().items()
        return stratified(items) if self.split == "stratified" else items

    def options(self) -> dict[str, Any]:
        return {**super().options(), "classes": ",".join(self.categories)}

    def read_items(self, root: str | None) -> list[Item]:
        if root is None or not Path(root).is_dir():
            raise FileNotFoundError(f"`root` must be a folder of sounds and pictures: {root}")
        return list(_table(Path(root)) if (Path(root) / TABLE).is_file() else _scan(root))


def stratified(items: Sequence[Item]) -> list[Item]:
    """Divides the groups of each class and modality between the splits.

    Args:
        items: of all classes; those that have a split keep it, with their groups.

    Returns:
        The same in the same order, each with a split.

    Example:
        >>> items = [Item("audio", f"{at}.wav", "dog", f"{at}.wav", "clips") for at in range(4)]
        >>> [item.split for item in stratified(items)]
        ['test', 'val', 'train', 'train']
    """
    of_group = {item.group: item.split for item in items if item.split}
    kinds: dict[tuple[str, str], set[str]] = {}
    for item in items:
        kinds.setdefault((item.modality, item.category), set()).add(item.group)
    for kind in sorted(kinds):
        groups = sorted(kinds[kind], key=lambda name: hashlib.sha256(name.encode()).digest())
        counts = {
            split: max(round(share * len(groups)), int(len(groups) > 2))
            for split, share in SHARES.items()
        }
        for split, count in counts.items():
            missing = count - sum(of_group.get(name) == split for name in groups)
            for name in [name for name in groups if name not in of_group][: max(missing, 0)]:
                of_group[name] = split
        for name in groups:
            of_group.setdefault(name, "train")
    return [dataclasses.replace(item, split=of_group[item.group]) for item in items]


def _scan(root: str) -> Iterator[Item]:
    base = Path(root)
    suffixes: dict[str, Any] = {"audio": SOUNDS, "video": PICTURES}
    for modality, folder in FOLDERS.items():
        for path in sorted((base / folder).glob("*/*")):
            if path.suffix.lower() in suffixes[modality] and not path.name.startswith("."):
                yield _item(base, path, modality, path.parent.name, "")
    for path in sorted((base / CAPTIONS).glob("*.txt")):
        yield from _lines(base, path, path.stem, "")


def _table(root: Path) -> Iterator[Item]:
    path = root / TABLE
    with (
        reading(path, "be a table with columns file and class"),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        for row in csv.DictReader(stream):
            file = root / row["file"]
            group, split = row.get("group") or "", row.get("split") or ""
            suffix = file.suffix.lower()
            if suffix == ".txt":
                yield from _lines(root, file, row["class"], group, split)
            elif suffix in SOUNDS or suffix in PICTURES:
                modality = "audio" if suffix in SOUNDS else "video"
                yield _item(root, file, modality, row["class"], group, split)
            else:
                raise ValueError(f"{path} must list sounds, pictures and .txt files: {file}")


def _category(name: str) -> str:
    return BACKGROUND if name == BACKGROUND_FOLDER else name


def _item(
    root: Path, path: Path, modality: str, category: str, group: str, split: str = ""
) -> Item:
    name = path.relative_to(root).as_posix()
    kind = _category(category)
    return Item(modality, name, kind, group or name, root.name, str(path), split=split)


def _lines(root: Path, path: Path, category: str, group: str, split: str = "") -> Iterator[Item]:
    name = path.relative_to(root).as_posix()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            where = f"{name}:{number}"
            yield Item(
                "text",
                where,
                _category(category),
                group or where,
                root.name,
                caption=line.strip(),
                split=split,
            )
