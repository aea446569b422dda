"""AVE to AVVP: train on AVE clips of 12 shared classes, test on events of AVVP."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_tools.io import hdf5
from data_tools.io.arguments import check_choice
from data_tools.io.tables import read_list
from data_tools.published.ave import ANNOTATIONS, AVE, read_annotations, read_order
from data_tools.published.avvp import AVVP, CATEGORIES, WEAK_FILES, read_events, read_weak
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of
from data_tools.published.sources import ArraySource, FileSource, LabelSource, RowSource, Source

CLASS_FILE = "AVE_AVVP_Categories.txt"
LABEL_FILE, ORDER_FILE = "ave_avvp_labels.h5", "ave_avvp_order.h5"
NAMES_IN_AVE = {
    "Dog": "Bark",
    "Car": "Race car, auto racing",
    "Violin_fiddle": "Violin, fiddle",
    "Frying_(food)": "Frying (food)",
    "Acoustic_guitar": "Acoustic guitar",
    "Baby_cry_infant_cry": "Baby cry, infant cry",
}
"""Classes whose names differ between the two data sets."""


class AVEtoAVVP(AVVP):
    """AVE to AVVP: train and val are AVE clips (rows of arrays), test is AVVP (a file per clip).

    The held-out splits keep AVE's own training and validation parts, without the videos that are
    also in the test part. The reference protocol trains on all AVE rows of the shared classes.

    Args:
        root: folder with AVE's files in it or in `ave`, AVVP's in it or in `avvp`, and the four
            shared files in either or in `avvp/ave_avvp`.
        events: "audio" or "visual": whose events the labels of the test clips are.
        version: "combined" or "checked" event files of the test clips.
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if an option is unknown.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, CLASS_FILE).write_text("Dog\\nCar\\n")
        ...     AVEtoAVVP(folder, events="audio").categories
        ('Dog', 'Car')
    """

    name = "ave_avvp"
    folders = ("", "ave_avvp", "avvp", "avvp/ave_avvp", "ave")
    prefix = "AVE_AVVP"
    youtube_ids = False
    """Its videos are those of AVE and AVVP."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        check_choice("version", self.version, ("combined", "checked"))
        if self.weak:
            raise ValueError("`weak` must be False: the test clips have events by the second")

    @functools.cached_property
    def ave(self) -> AVE:
        """The data set of train and val."""
        return AVE(self.find(ANNOTATIONS).parent)

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        return tuple(read_list(self.find(CLASS_FILE)))

    def annotation_files(self) -> tuple[str, ...]:
        orders = ("train_order.h5", "val_order.h5")
        return (CLASS_FILE, LABEL_FILE, ORDER_FILE, self.event_file(), ANNOTATIONS, *orders)

    def is_present(self) -> bool:
        # The other files belong to AVE.
        return self.has(CLASS_FILE) or self.has(LABEL_FILE) or self.has(self.event_file())

    def listed_groups(self) -> dict[str, frozenset[str]]:
        return PublishedDataset.listed_groups(self)

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        path = self.find(self.event_file())
        test, issues = read_events(path, self.categories, merge=self.protocol == "heldout")
        rows, classes = read_annotations(self.find(ANNOTATIONS))
        chosen = read_order(self.find(ORDER_FILE), len(rows))
        issues += self._class_issues(rows, classes, chosen)
        issues += self._shared_videos(rows)
        if self.protocol == "reference":
            return {
                "train": [self._shared(rows[i], classes) for i in chosen],
                "test": test,
            }, issues
        splits = {}
        for split in ("train", "val"):
            # The test split of AVE is not used: the test clips are those of AVVP.
            numbers = set(read_order(self.find(f"{split}_order.h5"), len(rows)))
            splits[split] = [self._shared(rows[i], classes) for i in chosen if i in numbers]
        return {**splits, "test": test}, issues

    def _shared_videos(self, rows: list[Example]) -> Iterator[Issue]:
        """Finds AVE's training videos that are AVVP test videos, of any class."""
        name = WEAK_FILES["test"]
        if not self.has(name):
            yield Issue("video in both data sets", name, (), "not checked: the file is missing")
            return
        listed = read_weak(self.find(name), CATEGORIES)
        numbers = read_order(self.find("train_order.h5"), len(rows))
        shared = {rows[i].group for i in numbers} & {example.group for example in listed}
        yield from issues_of(
            "video in both data sets",
            f"{name} and train_order.h5",
            sorted(shared),
            "left out of train where its class is shared",
        )

    def _shared(self, example: Example, classes: tuple[str, ...]) -> Example:
        """Returns an AVE clip with the number of its class among the shared classes."""
        names = {NAMES_IN_AVE.get(name, name): i for i, name in enumerate(self.categories)}
        spans = tuple(
            (names[classes[category]], start, end)
            for category, start, end in example.spans
            if classes[category] in names
        )
        return dataclasses.replace(example, spans=spans)

    def _class_issues(
        self, rows: list[Example], classes: tuple[str, ...], chosen: list[int]
    ) -> list[Issue]:
        wrong = [rows[i].key for i in chosen if not self._shared(rows[i], classes).spans]
        unlike = []
        labels = self._stored_labels
        source = LabelSource(len(self.categories))
        for i in chosen:
            expected = source.read(self._shared(rows[i], classes))
            if i >= len(labels) or (labels[i] != expected).any():
                unlike.append(rows[i].key)
        return [
            *issues_of("class that is not shared", ORDER_FILE, wrong, "kept as stored"),
            *issues_of("labels unlike the annotations", LABEL_FILE, unlike, "kept as stored"),
        ]

    @functools.cached_property
    def _stored_labels(self) -> np.ndarray:
        path = self.find(LABEL_FILE)
        labels = hdf5.read_array(path).astype(np.float32)
        if labels.ndim != 3 or labels.shape[-1] != len(self.categories) + 1:
            raise ValueError(
                f"{path} must have {len(self.categories) + 1} columns, one per class and one for "
                f"the background. Received shape {labels.shape}"
            )
        return labels

    def source(self, modality: str, split: str) -> Source:
        check_choice("modalities", modality, self.modalities)
        if split != "test":
            return RowSource(self.ave.folder, modality)
        ids = [example.id for example in self.published[split]]
        return FileSource(self.feature_folder(modality, split), modality, ids)

    def feature_folder(self, modality: str, split: str) -> Path:
        if split != "test":
            return self.ave.feature_folder(modality, split)
        return super().feature_folder(modality, split)

    def labels(self, split: str, kind: str = "segment") -> Source:
        if split == "test":
            return super().labels(split, kind)
        check_choice("labels", kind, ("segment",))
        return ArraySource(self._stored_labels, LABEL_FILE)
