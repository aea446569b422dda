"""AVE: one audio-visual event in each ten-second clip, 28 classes."""

from __future__ import annotations

import functools
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io import feature_folder as layout
from data_tools.io import hdf5
from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.io.tables import AVE_COLUMNS, read_table
from data_tools.published.annotations import read_span, segment_labels
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of
from data_tools.published.sources import LabelSource, RowSource, Source

ORDERS = ("order", "order_match", "order_14class", "order_21class")
ANNOTATIONS = "Annotations.txt"
LISTED = {"order_14class": "trainSet_14.txt", "order_21class": "trainSet_21.txt"}
"""Lists of lines of the annotations that give the same order as an order file."""


class AVE(PublishedDataset):
    """AVE: arrays of all clips (`*_feature.h5`, `labels.h5`) and files of row numbers per split.

    The labels are those of `labels.h5`; where it is missing they are made from the annotations.

    Args:
        root: folder with `Annotations.txt`, the order files and the features.
        order: which order files: "order", "order_match" (for matching across modalities), or
            "order_14class" and "order_21class" (open set, train only).
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if an option is unknown.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, ANNOTATIONS).write_text("Bark&a&good&0&4\\nCat&b&good&2&10\\n")
        ...     AVE(folder).categories
        ('Bark', 'Cat')

    References:
        Tian et al., "Audio-visual event localization in unconstrained videos", ECCV 2018.
    """

    name = "ave"
    modalities = ("audio", "video")
    folders = ("", "ave", "oscmg")
    youtube_ids = True

    def __init__(self, root: str | os.PathLike[str], order: str = "order", **options: Any) -> None:
        super().__init__(root, **options)
        check_choice("order", order, ORDERS)
        self.order = order

    @functools.cached_property
    def rows(self) -> list[Example]:
        """The clips, one per line of the annotations."""
        return read_annotations(self.find(ANNOTATIONS))[0]

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        return read_annotations(self.find(ANNOTATIONS))[1]

    @functools.cached_property
    def folder(self) -> layout.FeatureFolder:
        """The folder of the arrays, which is that of the annotations."""
        return layout.FeatureFolder(self.find(ANNOTATIONS).parent)

    def annotation_files(self) -> tuple[str, ...]:
        return (ANNOTATIONS, *(f"{split}_{self.order}.h5" for split in self._splits()))

    def _splits(self) -> tuple[str, ...]:
        return ("train",) if "class" in self.order else SPLITS

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        rows = self.rows
        splits, issues = {}, []
        for split in self._splits():
            name, listed = f"{split}_{self.order}.h5", LISTED.get(self.order, "")
            if listed and not self.has(name) and self.has(listed):
                path = self.find(listed)
                numbers = read_listed(path, rows, self.categories)
            else:
                path = self.find(name)
                numbers = read_order(path, len(rows))
            splits[split] = [rows[number] for number in numbers]
            issues += sorted_issues(path.name, splits[split])
        if self._splits() == SPLITS:
            used = {example.row for examples in splits.values() for example in examples}
            unused = [example.key for example in rows if example.row not in used]
            issues += issues_of("line in no split", ANNOTATIONS, unused, "not read")
        return splits, [*issues, *self._array_issues()]

    def _array_issues(self) -> list[Issue]:
        """Finds arrays that contradict the annotations."""
        issues: list[Issue] = []
        for name in (layout.FILES["audio"], layout.FILES["video"]):
            if (self.folder.root / name).is_file():
                array = hdf5.open_array(self.folder.root / name)
                count = len(array)
                array.close()
                rows = [f"{count} rows, {len(self.rows)} lines"] if count != len(self.rows) else []
                issues += issues_of("rows unlike the annotations", name, rows, "none")
        for name, columns in (("labels.h5", None), ("labels_closs.h5", 0), ("mil_labels.h5", 1)):
            if not (self.folder.root / name).is_file():
                continue
            stored = hdf5.read_array(self.folder.root / name)
            wrong = []
            for example in self.rows:
                expected = segment_labels(example.spans, len(self.categories))
                if columns == 0:
                    expected = 1 - expected[:, -1]
                elif columns == 1:
                    expected = np.eye(len(self.categories) + 1)[example.spans[0][0]]
                row = stored[example.row] if example.row < len(stored) else None
                if row is None or row.shape != expected.shape or (row != expected).any():
                    wrong.append(example.key)
            issues += issues_of("labels unlike the annotations", name, wrong, "kept as stored")
        return issues

    def source(self, modality: str, split: str) -> Source:
        check_choice("modalities", modality, self.modalities)
        return RowSource(self.folder, modality)

    def feature_folder(self, modality: str, split: str) -> Path:
        return self.folder.root / layout.FILES[modality]

    def labels(self, split: str, kind: str = "segment") -> Source:
        check_choice("labels", kind, ("segment",))
        if (self.folder.root / layout.FILES["labels"]).is_file():
            return RowSource(self.folder, "labels")
        return LabelSource(len(self.categories))


def read_annotations(path: Path) -> tuple[list[Example], tuple[str, ...]]:
    """Reads the clips of `Annotations.txt`, and the classes in order of appearance.

    The header line with which the authors distribute the file, blank lines and other separators
    are accepted. They do not count as rows, so that the order files keep their meaning.

    Args:
        path: file with the columns category, video id, quality, start and end.

    Returns:
        The clips and the classes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line has another form; the message has its number.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, ANNOTATIONS)
        ...     _ = path.write_text(
        ...         "Category&VideoID&Quality&StartTime&EndTime\\n"
        ...         "Bark&a&good&0&4\\nCat&b&good&0&0\\n"
        ...     )
        ...     [(clip.row, clip.spans, clip.fault) for clip in read_annotations(path)[0]]
        [(0, ((0, 0, 4),), ''), (1, ((1, 0, 0),), 'empty span')]
    """
    classes: dict[str, int] = {}
    examples = []
    for row, fields in enumerate(read_table(path, AVE_COLUMNS, header=None)):
        id = fields["video_id"]
        start, end = read_span(fields["start"], fields["end"], f"{path}, line {fields.line}")
        number = classes.setdefault(fields["category"], len(classes))
        fault = "" if start < end else "empty span"
        examples.append(
            Example(id, f"{id}@{row}", id, ((number, start, end),), row=row, fault=fault)
        )
    return examples, tuple(classes)


def read_listed(path: Path, rows: list[Example], categories: tuple[str, ...]) -> list[int]:
    """Reads an order that is given as a list of lines of the annotations.

    Args:
        path: file with the same columns as the annotations.
        rows: clips of the annotations.
        categories: their classes.

    Returns:
        Row numbers in the order of the list.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line is not among the annotations; the message names it.

    Example:
        >>> import tempfile
        >>> rows = [Example("a", "a@0", "a", ((0, 0, 4),), row=0)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "trainSet_14.txt")
        ...     _ = path.write_text("Bark&a&good&0&4\\n")
        ...     read_listed(path, rows, ("Bark",))
        [0]
    """
    known = {(categories[c], row.id, *span): row.row for row in rows for c, *span in row.spans}
    numbers = []
    for fields in read_table(path, AVE_COLUMNS, header=None):
        where = f"{path}, line {fields.line}"
        span = read_span(fields["start"], fields["end"], where)
        key = (fields["category"], fields["video_id"], *span)
        if key not in known:
            raise ValueError(f"{where} must be a line of {ANNOTATIONS}. Received: {key}")
        numbers.append(known[key])
    return numbers


def read_order(path: Path, num_rows: int) -> list[int]:
    """Reads the row numbers of an order file.

    Args:
        path: the HDF5 file.
        num_rows: rows that there are.

    Returns:
        The numbers.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it does not hold row numbers.

    Example:
        >>> import h5py, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "train_order.h5")
        ...     with h5py.File(path, "w") as file:
        ...         file["order"] = [2, 0]
        ...     read_order(path, 3)
        [2, 0]
    """
    numbers = hdf5.read_array(path, hdf5.ORDER_KEY)
    whole = numbers.ndim == 1 and numbers.dtype.kind in "iu" and numbers.size > 0
    if not whole or numbers.min() < 0 or numbers.max() >= num_rows:
        raise ValueError(
            f"{path} must hold row numbers from 0 to {num_rows - 1}. Received: {numbers.dtype} of "
            f"shape {numbers.shape}"
        )
    return [int(number) for number in numbers]


def sorted_issues(name: str, examples: list[Example]) -> list[Issue]:
    """Checks whether a split lists its clips class by class.

    Args:
        name: name of the order file.
        examples: in its order.

    Returns:
        A issue, or nothing.

    Example:
        >>> rows = [Example("a", "a", "a", ((c, 0, 1),)) for c in (1, 1, 0, 0)]
        >>> len(sorted_issues("train_order.h5", rows)), len(sorted_issues("x", rows[1:3] * 2))
        (1, 0)
    """
    order = [example.spans[0][0] for example in examples]
    changes = sum(one != other for one, other in itertools.pairwise(order))
    classes = len(set(order))
    if 1 < classes == changes + 1 and len(order) > classes:
        return [Issue("sorted by class", name, (f"{classes} classes",), "shuffled when read")]
    return []
