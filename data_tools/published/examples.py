"""Clips as annotations describe them, known issues of annotations, and held-out splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping

from data_tools.published.annotations import Span


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """The annotations of one clip.

    Args:
        id: name of its feature files.
        key: name that is unique in the data set; the id where that is unique.
        group: what must not be in two splits: the video, or the footage that it comes from.
        spans: its events.
        caption: its sentence; None if the data set has none.
        row: its row in arrays of all clips.
        fault: kind of issue that excludes it from the held-out splits; empty if there is none.

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
class Issue:
    """A known issue of the annotations.

    Args:
        kind: kind of issue, such as "leaking ids".
        where: file or splits.
        items: what it concerns, one entry each.
        remedy: what the held-out splits do about it.

    Example:
        >>> str(Issue("empty span", "Annotations.txt", ("line 27",), "left out"))
        'empty span: 1 in Annotations.txt (line 27); left out'
    """

    kind: str
    where: str
    items: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        shown = ", ".join(self.items[:5]) + (", ..." if len(self.items) > 5 else "")
        return f"{self.kind}: {len(self.items)} in {self.where} ({shown}); {self.remedy}"


def hold_out(
    published: Mapping[str, list[Example]], exclude: Collection[str] = ()
) -> dict[str, list[Example]]:
    """Makes splits that share no group: groups of test leave val and train, those of val train.

    Args:
        published: examples by split.
        exclude: groups to leave out of all splits.

    Returns:
        The remaining examples by split, without faults and duplicates.

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


def split_issues(published: Mapping[str, list[Example]]) -> Iterator[Issue]:
    """Finds issues of splits: shared groups, duplicates, and faults of examples.

    Args:
        published: examples by split.

    Yields:
        An issue for each kind and place.
    """
    groups = {
        split: {example.group for example in examples} for split, examples in published.items()
    }
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = groups.get(one, set()) & groups.get(other, set())
        if shared:
            lines = [example for example in published[other] if example.group in shared]
            yield Issue(
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
        yield from issues_of("duplicate", split, copies, "the first is kept")
        faults = sorted({example.fault for example in examples if example.fault})
        for fault in faults:
            keys = [example.key for example in examples if example.fault == fault]
            yield Issue(fault, split, tuple(keys), "left out")


def issues_of(kind: str, where: str, items: Iterable[str], remedy: str) -> Iterator[Issue]:
    """Makes an issue if there are any items.

    Args:
        kind: kind of issue.
        where: file or split.
        items: what it concerns.
        remedy: what the held-out splits do about it.

    Yields:
        The issue, or nothing if there are no items.

    Example:
        >>> list(issues_of("duplicate", "train", [], "the first is kept"))
        []
    """
    items = tuple(items)
    if items:
        yield Issue(kind, where, items, remedy)
