"""Inspects a published data set: files, splits, known issues, missing or damaged features."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.constants import SPLITS
from data_tools.io.files import atomic_file
from data_tools.published.annotation_files import AS_PUBLISHED, UNKNOWN, FileState, file_states
from data_tools.published.base import PROTOCOLS, PublishedDataset
from data_tools.published.examples import Example, Issue
from data_tools.published.registry import PUBLISHED_DATASETS, open_published
from data_tools.published.sources import Source

SIDES: dict[str, dict[str, Any]] = {"ucf_vggsound": {"side": "vggsound"}}
"""Options with which the groups of a data set are ids of YouTube videos."""


@dataclasses.dataclass(frozen=True)
class FeatureState:
    """The state of the features of one modality and split.

    Args:
        modality: such as "audio".
        split: "train", "val" or "test".
        where: folder or file of the features.
        wanted: number of clips of the split.
        bad: reason by key of each clip that is missing or cannot be read.
        reason: why none of them can be read, if it is the same for all.
    """

    modality: str
    split: str
    where: Path
    wanted: int
    bad: Mapping[str, str]
    reason: str = ""

    def __str__(self) -> str:
        count = 0 if self.reason else self.wanted - len(self.bad)
        text = f"{self.modality}, {self.split}: {count} of {self.wanted} in {self.where}"
        return f"{text} ({self.reason})" if self.reason else text


@dataclasses.dataclass
class Report:
    """The result of an inspection.

    Args:
        name: name of the data set.
        root: its folder.
        files: states of the annotation files.
        sizes: number of clips of each split, by protocol.
        num_clips: number of all clips.
        num_groups: number of all groups (videos).
        issues: known issues.
        features: states of the features, by modality and split.
        clean: examples of the cleaned split: held out, and readable if features are there.
    """

    name: str
    root: Path
    files: list[FileState]
    sizes: dict[str, dict[str, int]]
    num_clips: int
    num_groups: int
    issues: list[Issue]
    features: list[FeatureState]
    clean: dict[str, list[Example]]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, damaged or different from the published files."""
        return all(
            file.state in (AS_PUBLISHED, UNKNOWN) or (not file.needed and not file.sha256)
            for file in self.files
        ) and not any(state.bad or state.reason for state in self.features)

    def lines(self) -> list[str]:
        """Returns the report as lines of text."""
        result = [f"{self.name} in {self.root}", "", "annotations"]
        result += [f"  {file}" for file in self.files if file.needed or file.sha256]
        result += ["", f"counts: {self.num_clips} clips of {self.num_groups} videos"]
        for protocol, sizes in self.sizes.items():
            shown = ", ".join(f"{split} {count}" for split, count in sizes.items())
            result.append(f"  {protocol}: {shown}")
        result += ["", f"known issues: {len(self.issues)}"]
        result += [f"  {issue}" for issue in self.issues]
        result += ["", "features"]
        for state in self.features:
            result.append(f"  {state}")
            if not state.reason:
                result += [f"    {key}: {reason}" for key, reason in state.bad.items()]
        kept = ", ".join(f"{split} {len(examples)}" for split, examples in self.clean.items())
        return [*result, "", f"cleaned split: {kept}"]


def inspect(
    name: str,
    root: str | os.PathLike[str],
    read: bool = True,
    against: Sequence[str | os.PathLike[str]] = (),
    **options: Any,
) -> Report:
    """Inspects a published data set. The annotations alone are sufficient.

    Args:
        name: one of `PUBLISHED_DATASETS`.
        root: folder of the data set.
        read: read all feature files, instead of only checking whether they exist.
        against: folders of other data sets; videos that they share with this one are reported, as
            are those of other data sets below `root`.
        options: options of the data set.

    Returns:
        The report.

    Raises:
        FileNotFoundError: if the folder or an annotation file without replacement is missing.
        ValueError: if an annotation file cannot be read; the message has the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "flickr.csv").write_text("filename\\n1.wav\\n1.wav\\n2.wav\\n")
        ...     report = inspect("flickrsound", folder)
        >>> str(report.issues[0])
        'duplicate: 1 in train (1); the first is kept'
    """
    opened = {
        protocol: open_published(name, root, protocol=protocol, **options) for protocol in PROTOCOLS
    }
    dataset = opened["heldout"]
    everything = [example for examples in dataset.published.values() for example in examples]
    features = [
        _features(dataset, modality, split, read)
        for modality in dataset.modalities
        for split in dataset.splits
        if dataset.splits[split]
    ]
    unusable = {(state.split, key) for state in features for key in state.bad}
    incomplete = dict(_incomplete_splits(dataset))
    return Report(
        name,
        Path(root),
        file_states(dataset),
        {
            protocol: {split: len(examples) for split, examples in one.splits.items()}
            for protocol, one in opened.items()
        },
        len({example.key for example in everything}),
        len({example.group for example in everything}),
        [
            *dataset.known_issues(),
            *(
                Issue("split that cannot be held out", split, (reason,), "not in the cleaned split")
                for split, reason in incomplete.items()
            ),
            *shared_videos(dataset, [root, *against]),
        ],
        features,
        {
            split: [example for example in examples if (split, example.key) not in unusable]
            for split, examples in dataset.splits.items()
            if split not in incomplete
        },
    )


def shared_videos(
    dataset: PublishedDataset, roots: Sequence[str | os.PathLike[str]]
) -> Iterator[Issue]:
    """Finds videos that a data set shares with others.

    Args:
        dataset: the data set.
        roots: folders in which to look for other data sets.

    Yields:
        An issue for each data set that shares videos, and for each one that cannot be read.
    """
    if not dataset.youtube_ids:
        return
    own = frozenset().union(*dataset.listed_groups().values())
    done = {dataset.name}
    for root in roots:
        for name in PUBLISHED_DATASETS:
            other = open_published(name, root, **SIDES.get(name, {}))
            if name in done or not other.youtube_ids or not other.is_present():
                continue
            try:
                groups = other.listed_groups()
            except (FileNotFoundError, ValueError) as error:
                yield Issue("data set that cannot be compared", name, (str(error),), "not compared")
                continue
            done.add(name)
            shared = {split: own & ids for split, ids in groups.items() if own & ids}
            if shared:
                counts = ", ".join(f"{split} {len(ids)}" for split, ids in shared.items())
                yield Issue(
                    "video in another data set",
                    f"{dataset.name} and {name} ({counts})",
                    tuple(sorted(frozenset().union(*shared.values()))),
                    "kept; pass them as `exclude` to leave them out",
                )


def _incomplete_splits(dataset: PublishedDataset) -> Iterator[tuple[str, str]]:
    """Splits of which a file is missing that decides what they must not have."""
    for split in dataset.splits:
        try:
            dataset.require_split(split)
        except FileNotFoundError as error:
            yield split, str(error)


def write_clean(report: Report, path: str | os.PathLike[str]) -> None:
    """Writes the cleaned split as a table for `data_tools.load(..., clean=path)`.

    Args:
        report: result of `inspect`.
        path: file to write; it is written atomically.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "flickr.csv").write_text("filename\\n1.wav\\n1.wav\\n2.wav\\n")
        ...     write_clean(inspect("flickrsound", folder), Path(folder, "clean.csv"))
        ...     Path(folder, "clean.csv").read_text().splitlines()
        ['split,key,id', 'train,1,1', 'val,2,2']
    """
    with (
        atomic_file(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(("split", "key", "id"))
        for split in SPLITS:
            for example in report.clean.get(split, []):
                table.writerow((split, example.key, example.id))


def _features(dataset: PublishedDataset, modality: str, split: str, read: bool) -> FeatureState:
    where, examples = dataset.feature_folder(modality, split), dataset.splits[split]
    try:
        source = dataset.source(modality, split)
    except (FileNotFoundError, ValueError) as error:
        return FeatureState(modality, split, where, len(examples), {}, str(error))
    bad = {}
    for example in examples:
        reason = _fault(source, example) if read else source.files(example)
        if reason:
            bad[example.key] = reason
    return FeatureState(modality, split, where, len(examples), bad)


def _fault(source: Source, example: Example) -> str:
    try:
        source.read(example)
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return ""
