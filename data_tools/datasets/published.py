"""What every published data set offers: examples by split, where their features lie, its traps."""

from __future__ import annotations

import abc
import dataclasses
import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from data_tools.datasets.annotations import Span
from data_tools.datasets.base import SPLITS
from data_tools.layout import check_choice
from data_tools.sources import CaptionSource, FileSource, LabelSource, Source, TextEncoder

PROTOCOLS = ("heldout", "reference")


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """What the annotations say of one clip.

    Args:
        id: name of its feature files.
        key: unique in the data set; the id where that is.
        group: what must not be in two splits: the video, or the footage it comes from.
        spans: its events.
        caption: its sentence; None where the data set has none.
        row: its row in arrays of all clips.
        fault: kind of trap that keeps it out of the held-out splits.

    Example:
        >>> Example("RUhOCu3LNXM", "RUhOCu3LNXM", "RUhOCu3LNXM", ((0, 0, 10),)).fault
        ''
    """

    id: str
    key: str
    group: str
    spans: tuple[Span, ...] = ()
    caption: str | None = None
    row: int = -1
    fault: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A trap in the annotations.

    Args:
        kind: which trap, such as "leaking ids".
        where: file or splits.
        items: what it concerns, one entry each.
        remedy: what the held-out splits do about it.

    Example:
        >>> str(Finding("empty span", "Annotations.txt", ("line 27",), "left out"))
        'empty span: 1 in Annotations.txt (line 27); left out'
    """

    kind: str
    where: str
    items: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        shown = ", ".join(self.items[:5]) + (", ..." if len(self.items) > 5 else "")
        return f"{self.kind}: {len(self.items)} in {self.where} ({shown}); {self.remedy}"


class PublishedDataset(abc.ABC):
    """Base of the published data sets: subclass it, read the annotations, name the traps.

    Attributes:
        name: name on the command line and in `load`.
        modalities: what it has.
        folders: where files may lie below the root, in the order of looking.

    Args:
        root: folder of annotations and features.
        protocol: "heldout": no video in two splits, nothing that is broken. "reference": the
            splits as the published code reads them, traps included.
        exclude: groups (video ids) to leave out of every split, such as the test videos of
            another data set.
        text_encoder: turns captions into word vectors, n sentences to (n, tokens, dim), where no
            stored text features are; hashed sub-words of 768 numbers if None.

    Raises:
        FileNotFoundError: the root does not exist.
        ValueError: the protocol is unknown.

    Example:
        >>> from data_tools import datasets
        >>> sorted(datasets.PUBLISHED)[:3]
        ['ave', 'ave_avvp', 'avvp']
    """

    name: str
    modalities: tuple[str, ...]
    folders: tuple[str, ...] = ("",)

    def __init__(
        self,
        root: str | os.PathLike[str],
        protocol: str = "heldout",
        exclude: Collection[str] = (),
        text_encoder: TextEncoder | None = None,
    ) -> None:
        check_choice("protocol", protocol, PROTOCOLS)
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"`root` must be the folder of {self.name}; received: {root}")
        self.protocol = protocol
        self.exclude = frozenset(exclude)
        self.text_encoder = text_encoder

    # What a data set defines.

    @property
    @abc.abstractmethod
    def categories(self) -> tuple[str, ...]:
        """Class names in the order of the label columns, without the background."""

    @abc.abstractmethod
    def read(self) -> tuple[dict[str, list[Example]], list[Finding]]:
        """Published splits, and the traps of the files themselves."""

    def annotation_files(self) -> tuple[str, ...]:
        """Names of the files that `read` needs."""
        return ()

    # What all have in common.

    def find(self, *names: str) -> Path:
        """First of some files, below the root or one of its folders.

        Raises:
            FileNotFoundError: none is there.
        """
        for name in names:
            for folder in self.folders:
                path = self.root / folder / name
                if path.exists():
                    return path
        raise FileNotFoundError(
            f"{self.root} must hold {' or '.join(names)}, in "
            f"{', '.join(repr(folder or '.') for folder in self.folders)}; received neither"
            if len(names) > 1
            else f"{self.root} must hold {names[0]}, in "
            f"{' or '.join(repr(folder or '.') for folder in self.folders)}; it is missing"
        )

    @functools.cached_property
    def _read(self) -> tuple[dict[str, list[Example]], list[Finding]]:
        return self.read()

    @property
    def published(self) -> dict[str, list[Example]]:
        """Splits as published."""
        return self._read[0]

    @functools.cached_property
    def heldout(self) -> dict[str, list[Example]]:
        """Splits without shared groups and without what is broken."""
        return hold_out(self.published, self.exclude)

    @property
    def splits(self) -> dict[str, list[Example]]:
        """Splits of the protocol."""
        if self.protocol == "heldout":
            return self.heldout
        return {
            split: [example for example in examples if example.group not in self.exclude]
            for split, examples in self.published.items()
        }

    def examples(self, split: str) -> list[Example]:
        """Examples of a split of the protocol.

        Raises:
            ValueError: the split is unknown, or empty in this protocol.
        """
        check_choice("split", split, SPLITS)
        found = self.splits.get(split, [])
        if not found:
            sizes = {name: len(examples) for name, examples in self.splits.items()}
            raise ValueError(
                f"`split` of {self.name!r} ({self.protocol}) must be one that has clips; "
                f"received: {split!r} of {sizes}"
            )
        return found

    def groups(self, split: str) -> frozenset[str]:
        """Videos of a split, to be left out elsewhere."""
        return frozenset(example.group for example in self.examples(split))

    def findings(self) -> list[Finding]:
        """Every trap found: those of the files, and those of the splits together."""
        return [*self._read[1], *split_findings(self.published)]

    def source(self, modality: str, split: str) -> Source:
        """Where a modality of a split is read from.

        Raises:
            ValueError: the data set has no such modality.
            FileNotFoundError: its folder is missing.
        """
        check_choice("modalities", modality, self.modalities)
        folder = self.feature_folder(modality, split)
        if modality == "text" and not folder.is_dir():
            return CaptionSource(self.text_encoder)
        # The usual shape is that of all splits.
        every = (example for examples in self.published.values() for example in examples)
        return FileSource(folder, modality, [example.id for example in every])

    def feature_folder(self, modality: str, split: str) -> Path:
        """Folder of the feature files of a modality."""
        try:
            return self.find(modality)
        except FileNotFoundError:
            return self.root / modality

    def labels(self, split: str, kind: str = "segment") -> Source:
        """Labels of a split.

        Raises:
            ValueError: there are no labels of that kind.
        """
        check_choice("labels", kind, ("segment",))
        if not self.categories:
            raise ValueError(f"`labels` must be False: {self.name} has no classes")
        return LabelSource(len(self.categories))


def hold_out(
    published: Mapping[str, list[Example]], exclude: Collection[str] = ()
) -> dict[str, list[Example]]:
    """Splits that share no group; one of test stays in test, one of val leaves train.

    Args:
        published: examples by split.
        exclude: groups to leave out.

    Returns:
        The examples that remain, without faults and without second copies.

    Example:
        >>> a, b = Example("a", "a", "a"), Example("b", "b", "b")
        >>> [example.id for example in hold_out({"train": [a, b], "test": [b]})["train"]]
        ['a']
    """
    result: dict[str, list[Example]] = {}
    taken = set(exclude)
    for split in ("test", "val", "train"):
        if split not in published:
            continue
        kept: dict[tuple, Example] = {}
        for example in published[split]:
            if example.group not in taken and not example.fault:
                content = (example.id, example.spans, example.caption)
                kept.setdefault(content, example)
        result[split] = list(kept.values())
        taken.update(example.group for example in kept.values())
    return {split: result[split] for split in published}


def split_findings(published: Mapping[str, list[Example]]) -> Iterator[Finding]:
    """Traps of the splits: shared groups, second copies, faults of examples.

    Args:
        published: examples by split.

    Yields:
        A finding for each kind and place.
    """
    groups = {
        split: {example.group for example in examples} for split, examples in published.items()
    }
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = groups.get(one, set()) & groups.get(other, set())
        if shared:
            lines = [example for example in published[other] if example.group in shared]
            yield Finding(
                "leaking ids",
                f"{one} and {other}, {len(lines)} clips of {other}",
                tuple(sorted(shared)),
                f"left out of {one}",
            )
    for split, examples in published.items():
        seen: set[tuple] = set()
        copies: list[str] = []
        for example in examples:
            content = (example.id, example.spans, example.caption)
            if content in seen:
                copies.append(example.key)
            seen.add(content)
        yield from findings_of("duplicate", split, copies, "the first is kept")
        faults = sorted({example.fault for example in examples if example.fault})
        for fault in faults:
            keys = [example.key for example in examples if example.fault == fault]
            yield Finding(fault, split, tuple(keys), "left out")


def findings_of(kind: str, where: str, items: Iterable[str], remedy: str) -> Iterator[Finding]:
    """A finding, if there is anything.

    Args:
        kind: which trap.
        where: file or split.
        items: what it concerns.
        remedy: what the held-out splits do about it.

    Yields:
        The finding, or nothing if there are no items.

    Example:
        >>> list(findings_of("duplicate", "train", [], "the first is kept"))
        []
    """
    items = tuple(items)
    if items:
        yield Finding(kind, where, items, remedy)
