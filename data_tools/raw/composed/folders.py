"""Any sounds, pictures and captions that lie in folders named after their classes."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_tools.decoding.signatures import PICTURES, SOUNDS
from data_tools.io.constants import SPLITS
from data_tools.io.files import reading, shorten
from data_tools.raw.composed.composed_dataset import ComposedDataset
from data_tools.raw.composed.items import BACKGROUND, SHARES, Item

TABLE = "files.csv"
FOLDERS = {"audio": "sounds", "video": "pictures"}
CAPTIONS = "captions"
BACKGROUND_FOLDER = "background"
SHOWN = 5
"""Most classes that an error names."""


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
            found = [
                f"{folder} of {', '.join(sorted(classes)[:SHOWN]) or 'no class'}"
                for folder, classes in zip(FOLDERS.values(), have, strict=True)
            ]
            raise ValueError(
                f"{root} must have a class with sounds and pictures. Received: {'; '.join(found)}"
            )
        super().__init__(root, split, names, side=side, **options)
        self.failures += [] if root is None else list(refused_files(Path(root), items, names))
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
        return read_folder(root)


def read_folder(root: str | None) -> list[Item]:
    """Reads the items of a folder in the layout of `Folders`.

    Args:
        root: the folder.

    Returns:
        The items of all classes, whether or not they have sounds and pictures.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if the table is wrong.

    Example:
        >>> Path("set/captions").mkdir(parents=True)
        >>> _ = Path("set/captions/dog.txt").write_text("A dog barks.")
        >>> read_folder("set")[0].name
        'captions/dog.txt:1'
    """
    if root is None or not Path(root).is_dir():
        raise FileNotFoundError(f"`root` must be a folder of sounds and pictures. Received: {root}")
    return [found for found in _contents(Path(root)) if isinstance(found, Item)]


def refused_files(
    root: Path, items: Sequence[Item], categories: Sequence[str]
) -> Iterator[dict[str, str]]:
    """Finds files that no clip is made of: of unknown kinds, out of place, or of unused classes.

    Args:
        root: folder of the data set.
        items: all that were read from it.
        categories: classes in use.

    Yields:
        `modality`, `file` and `reason`.

    Example:
        >>> Path("set/sounds/dog").mkdir(parents=True)
        >>> Path("set/sounds/dog/a.aiff").touch()
        >>> next(refused_files(Path("set"), [], ["dog"]))["reason"]
        "has the extension '.aiff', which is not one of sounds"
    """
    for item in items:
        if item.category not in (*categories, BACKGROUND):
            reason = f"is of the class {item.category!r}, which is not in use"
            for modality, folder in FOLDERS.items():
                if not any(
                    other.modality == modality and other.category == item.category
                    for other in items
                ):
                    reason = f"is of the class {item.category!r}, which has no {folder}"
            yield {"modality": item.modality, "file": item.name, "reason": reason}
    yield from (found for found in _contents(root) if isinstance(found, dict))


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


def _contents(root: Path) -> Iterator[Item | dict[str, str]]:
    """Yields the items of a folder, and `modality`, `file` and `reason` of what cannot be one."""
    return _table(root) if (root / TABLE).is_file() else _scan(root)


def _scan(root: Path) -> Iterator[Item | dict[str, str]]:
    suffixes: dict[str, Any] = {"audio": SOUNDS, "video": PICTURES}
    for modality, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root)
            if path.is_dir() or any(part.startswith(".") for part in name.parts):
                continue
            if len(name.parts) != 3:
                yield _refused(modality, name, f"must lie in {folder}/CLASS")
            elif path.suffix.lower() not in suffixes[modality]:
                reason = f"has the extension {path.suffix!r}, which is not one of {folder}"
                yield _refused(modality, name, reason)
            else:
                yield _item(root, path, modality, path.parent.name, "")
    for path in sorted((root / CAPTIONS).glob("*.txt")):
        yield from _lines(root, path, path.stem, "")


def _table(root: Path) -> Iterator[Item | dict[str, str]]:
    path = root / TABLE
    with (
        reading(path, "be a table with columns file and class, in UTF-8"),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        reader = csv.DictReader(stream)
        columns = reader.fieldnames or []
        if missing := [name for name in ("file", "class") if name not in columns]:
            raise ValueError(
                f"{path} must be a table with columns file and class. It lacks "
                f"{' and '.join(missing)}. Received: {shorten(columns)}"
            )
        listed: set[Path] = set()
        for row in reader:
            line = f"{TABLE}:{reader.line_num}"
            if (split := row.get("split") or "") not in ("", *SPLITS):
                raise ValueError(
                    f"{path} must have splits of {', '.join(SPLITS)}, or none. "
                    f"Received: {shorten(split, 60)!r} in {line}"
                )
            yield from _row(root, row, line, listed)


def _row(
    root: Path, row: dict[str, Any], line: str, listed: set[Path]
) -> Iterator[Item | dict[str, str]]:
    name, category = (row["file"] or "").strip(), (row["class"] or "").strip()
    group, split = row.get("group") or "", row.get("split") or ""
    suffix = Path(name).suffix.lower()
    modality = "audio" if suffix in SOUNDS else "text" if suffix == ".txt" else "video"
    file = root / name
    if not name or not category:
        yield _refused(modality, name or line, f"has no {'class' if name else 'file'} in {line}")
    elif suffix not in (*SOUNDS, *PICTURES, ".txt"):
        yield _refused(modality, name, f"has the extension {suffix!r}, which is not known")
    elif not file.is_relative_to(root) or ".." in file.relative_to(root).parts:
        yield _refused(modality, name, f"must lie below {root}")
    elif file in listed:
        yield _refused(modality, name, f"is listed again in {line}")
    elif not file.is_file():
        yield _refused(modality, name, "does not exist")
    elif modality == "text":
        listed.add(file)
        yield from _lines(root, file, category, group, split)
    else:
        listed.add(file)
        yield _item(root, file, modality, category, group, split)


def _refused(modality: str, name: str | Path, reason: str) -> dict[str, str]:
    file = name.as_posix() if isinstance(name, Path) else name
    return {"modality": modality, "file": file, "reason": reason}


def _category(name: str) -> str:
    return BACKGROUND if name == BACKGROUND_FOLDER else name


def _item(
    root: Path, path: Path, modality: str, category: str, group: str, split: str = ""
) -> Item:
    name = path.relative_to(root).as_posix()
    kind = _category(category)
    return Item(modality, name, kind, group or name, root.name, str(path), split=split)


def _lines(
    root: Path, path: Path, category: str, group: str, split: str = ""
) -> Iterator[Item | dict[str, str]]:
    name = path.relative_to(root).as_posix()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        yield _refused("text", name, f"must be UTF-8 text; byte {error.start} is not")
        return
    for number, line in enumerate(text.splitlines(), start=1):
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
