"""What of a published data set is there, what is missing, and every trap: what `verify` tells."""

from __future__ import annotations

import csv
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_tools.io.constants import SPLITS
from data_tools.io.files import atomic_file
from data_tools.published.annotation_files import AS_PUBLISHED, UNKNOWN, FileState, file_states
from data_tools.published.base import PROTOCOLS, PublishedDataset
from data_tools.published.examples import Example, Issue
from data_tools.published.registry import open_published
from data_tools.published.sources import Source


@dataclasses.dataclass(frozen=True)
class FeatureState:
    """The features of one modality and split.

    Args:
        modality: such as "audio".
        split: "train", "val" or "test".
        where: the folder or file.
        wanted: clips of the split.
        bad: reason by key of each clip that is missing or can't be read.
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
    """Everything found.

    Args:
        name: of the data set.
        root: its folder.
        files: annotation files.
        sizes: clips of each split, by protocol.
        num_clips: clips in all.
        num_groups: videos in all.
        issues: traps.
        features: by modality and split.
        clean: clips of the cleaned split: held out, and readable as far as features are there.
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
        """Whether nothing is missing, damaged or unlike the published files."""
        return all(
            file.state in (AS_PUBLISHED, UNKNOWN) or (not file.needed and not file.sha256)
            for file in self.files
        ) and not any(state.bad or state.reason for state in self.features)

    def lines(self) -> list[str]:
        """The report, line by line."""
        result = [f"{self.name} in {self.root}", "", "annotations"]
        result += [f"  {file}" for file in self.files if file.needed or file.sha256]
        result += ["", f"counts: {self.num_clips} clips of {self.num_groups} videos"]
        for protocol, sizes in self.sizes.items():
            shown = ", ".join(f"{split} {count}" for split, count in sizes.items())
            result.append(f"  {protocol}: {shown}")
        result += ["", f"traps: {len(self.issues)}"]
        result += [f"  {issue}" for issue in self.issues]
        result += ["", "features"]
        for state in self.features:
            result.append(f"  {state}")
            if not state.reason:
                result += [f"    {key}: {reason}" for key, reason in state.bad.items()]
        kept = ", ".join(f"{split} {len(examples)}" for split, examples in self.clean.items())
        return [*result, "", f"cleaned split: {kept}"]


def inspect(name: str, root: str | os.PathLike[str], read: bool = True, **options: Any) -> Report:
    """Looks through a published data set; annotations alone will do.

    Args:
        name: one of `PUBLISHED_DATASETS`.
        root: its folder.
        read: read every feature file; else look only whether it is there.
        options: of the data set.

    Returns:
        The report.

    Raises:
        FileNotFoundError: the folder or an annotation file that nothing can replace is missing.
        ValueError: an annotation file can't be read; the message has the line.

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
        dataset.known_issues(),
        features,
        {
            split: [example for example in examples if (split, example.key) not in unusable]
            for split, examples in dataset.splits.items()
        },
    )


def write_clean(report: Report, path: str | os.PathLike[str]) -> None:
    """Writes the cleaned split as a table for `data_tools.load(..., clean=path)`.

    Args:
        report: of `inspect`.
        path: the table; it appears complete or not at all.

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
    where, examples = dataset.feature_folder(modality, split), dataset.examples(split)
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
