"""Selects the clips of a split and the sources of their modalities."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.io.feature_folder import MODALITIES, FeatureFolder
from data_tools.io.files import shorten
from data_tools.io.tables import read_table
from data_tools.published.examples import Example
from data_tools.published.registry import PUBLISHED_DATASETS, open_published
from data_tools.published.sources import RowSource, Source
from data_tools.raw.registry import RAW_DATASETS

PREPARED = tuple(RAW_DATASETS)
LABELS = ("segment", "weak")


@dataclasses.dataclass
class Selection:
    """Clips of a split with a source for each field.

    Args:
        name: name of the data in error messages.
        examples: the clips.
        sources: by modality, and "labels" if they are wanted.

    Example:
        >>> Selection("nothing", [], {}).num_bytes
        0
    """

    name: str
    examples: Sequence[Example]
    sources: dict[str, Source]

    @property
    def num_bytes(self) -> int:
        """Size of all arrays of all clips in bytes."""
        each = sum(4 * int(np.prod(source.shape)) for source in self.sources.values())
        return len(self.examples) * each

    def read(self, example: Example) -> dict[str, np.ndarray]:
        """Reads the arrays of a clip.

        Raises:
            ValueError: if one of them is missing or damaged; the message names clip and reason.
        """
        try:
            return {kind: source.read(example) for kind, source in self.sources.items()}
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(
                f"clip {shorten(repr(example.key), 100)} of {self.name} cannot be read: {error}"
            ) from error

    def unreadable(self) -> Iterator[tuple[Example, str]]:
        """Iterates over the clips that cannot be read, with the reason; reads each clip once."""
        for example in self.examples:
            try:
                self.read(example)
            except ValueError as error:
                yield example, str(error.__cause__)

    def close(self) -> None:
        """Closes open files."""
        for source in self.sources.values():
            if isinstance(source, RowSource):
                source.folder.close()


def select(
    root: str | os.PathLike[str],
    split: str = "train",
    modalities: Sequence[str] | None = None,
    labels: bool | str = False,
    dataset: str | None = None,
    clean: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Selection:
    """Selects the clips of a split of a published data set or a prepared folder.

    Args:
        root: folder of annotations and features.
        split: "train", "val" or "test".
        modalities: which to read; all that the data have if None.
        labels: whether to read labels too; "weak" for those of whole clips.
        dataset: a published data set; None, "digits" or "synthetic" for a prepared folder.
        clean: table of the clips to keep, as `python -m data_tools verify --clean` writes it.
        options: arguments of the published data set, such as `protocol`.

    Returns:
        The clips and their sources.

    Raises:
        FileNotFoundError: if the folder or a file is missing.
        ValueError: if an argument or a file is wrong.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     selection = select(path, modalities=["audio"], labels=True)
        ...     selection.close()
        >>> len(selection.examples), selection.sources["labels"].shape
        (5, (10, 11))
    """
    kind = "segment" if labels is True else labels
    if kind is not False:
        check_choice("labels", str(kind), LABELS)
    if dataset is None or dataset in PREPARED:
        selection = _prepared(root, split, modalities, kind, dataset, options)
    else:
        check_choice("dataset", dataset, (*PREPARED, *sorted(PUBLISHED_DATASETS)))
        opened = open_published(dataset, root, **options)
        names = _modalities(modalities, opened.modalities)
        sources = {name: opened.source(name, split) for name in names}
        if kind:
            sources["labels"] = opened.labels(split, str(kind))
        selection = Selection(f"{dataset} ({split})", opened.examples(split), sources)
    if clean is not None:
        selection.examples = keep_clean(selection.examples, Path(clean), split)
    return selection


def _prepared(
    root: str | os.PathLike[str],
    split: str,
    modalities: Sequence[str] | None,
    labels: bool | str,
    dataset: str | None,
    options: dict[str, Any],
) -> Selection:
    if options:
        raise ValueError(
            f"options must be left out for a prepared folder. Received: {sorted(options)}"
        )
    names = _modalities(modalities, MODALITIES)
    folder = FeatureFolder(root)
    if dataset is not None and folder.manifest.get("dataset") != dataset:
        raise ValueError(
            f"`dataset` must be that of the prepared folder {root}. Received {dataset!r} for "
            f"{shorten(repr(folder.manifest.get('dataset')), 100)}"
        )
    if labels == "weak":
        raise ValueError("`labels` must be True or False for a prepared folder. Received: 'weak'")
    kinds = (*names, "labels") if labels else names
    examples = [
        Example(str(row), str(row), str(row), row=row) for row in folder.order(split).tolist()
    ]
    sources: dict[str, Source] = {kind: RowSource(folder, kind) for kind in kinds}
    return Selection(f"{root} ({split})", examples, sources)


def _modalities(asked: Sequence[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if asked is None:
        return known
    if isinstance(asked, str) or not asked:
        raise ValueError(
            f"`modalities` must be a sequence of at least one of {known}. Received: {asked!r}"
        )
    for modality in asked:
        check_choice("modalities", modality, known)
    return tuple(asked)


def keep_clean(examples: Sequence[Example], path: Path, split: str) -> list[Example]:
    """Filters clips by the table of a cleaned split.

    Args:
        examples: clips of the split.
        path: the table: `split`, `key`.
        split: which split.

    Returns:
        Those listed, in their own order.

    Raises:
        FileNotFoundError: if there is no such table.
        ValueError: if it lists none of the split, or clips that are not in it.

    Example:
        >>> import tempfile
        >>> clips = [Example(name, name, name) for name in "abc"]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "clean.csv")
        ...     _ = path.write_text("split,key\\ntrain,a\\ntrain,c\\n")
        ...     [clip.id for clip in keep_clean(clips, path, "train")]
        ['a', 'c']
    """
    keys = {row["key"] for row in read_table(path, ("split", "key")) if row["split"] == split}
    known = {example.key for example in examples}
    if not keys or not keys <= known:
        stray = sorted(keys - known)
        raise ValueError(
            f"`clean` must list clips of {split!r}; {path} lists "
            + (f"{len(stray)} others, such as {stray[0]!r}" if stray else "none")
        )
    return [example for example in examples if example.key in keys]
