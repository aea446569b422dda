"""Clips of prepared folders and of published data sets: selected, batched, encoded, identified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

import data_tools
import keras_cmg
from data_tools.io.feature_folder import MODALITIES
from data_tools.io.files import sha256_file
from data_tools.loading import BatchReader, SelectionSource
from data_tools.loading.batch_reader import add_text_mask
from data_tools.loading.pydataset import FeatureDataset
from data_tools.loading.store_folder import StoreFolder
from data_tools.published.examples import Example
from data_tools.published.registry import PUBLISHED_DATASETS, open_published, published_class
from data_tools.published.selection import PREPARED, Selection, select

LEVELS = {"audio": "segment", "video": "segment", "text": "clip"}
"""Modality to the level at which probes read its codes."""
ENCODE_BATCH = 100
"""Clips encoded at once: whole batches of the usual splits, so that one shape is compiled."""
CHECKED_CLIPS = 16
"""Clips of each split and modality of a published data set whose features are checksummed."""
UNPAIRED = ("ucf_vggsound",)
"""Data sets whose clips have one modality each, so that no model can be trained on them."""
STORE = "store"
"""Name of clips that `python -m data_tools extract` extracted into a store."""
CLIP_SETS = (*PREPARED, STORE)
"""Data sets of one layout, with splits of their own."""
PUBLISHED = tuple(sorted(set(PUBLISHED_DATASETS) - {"celeba_hq", *UNPAIRED}))
"""Published data sets on which an encoder can be trained."""


class Clips(NamedTuple):
    """Where clips are read from, and which."""

    data: str
    """Name of the data set."""
    root: Path
    """A prepared folder, a store, or the folder of a published data set."""
    protocol: str = "heldout"
    limit: int | None = None
    """Upper limit of the clips of each split, chosen by a hash; None for all."""

    @property
    def prepared(self) -> bool:
        """Whether the features were computed here, from raw signals."""
        return self.data in CLIP_SETS

    def folder(self) -> data_tools.FeatureFolder | StoreFolder:
        """Opens a prepared folder or a store."""
        return StoreFolder(self.root) if self.data == STORE else data_tools.FeatureFolder(self.root)

    def modalities(self) -> tuple[str, ...]:
        """Returns the modalities of the clips."""
        if self.data == STORE:
            return StoreFolder(self.root).modalities
        return modalities_of(self.data)

    def require_modalities(self, names: Sequence[str] = MODALITIES) -> None:
        """Checks that a store has modalities; those of other data are known by their name.

        Args:
            names: the modalities.

        Raises:
            ValueError: if one is missing.
        """
        if self.data != STORE:
            return
        missing = sorted(set(names) - set(self.modalities()))
        if missing:
            raise ValueError(
                f"--data {self.data} must have {', '.join(names)}. {self.root} lacks "
                f"{', '.join(missing)}"
            )

    def categories(self, **options: Any) -> tuple[str, ...]:
        """Returns the names of the classes; none where the data set has no classes."""
        if self.prepared:
            return tuple(self.folder().categories)
        return tuple(self.opened(**options).categories)

    def opened(self, **options: Any) -> Any:
        """Opens a published data set.

        Args:
            options: options of the data set.

        Returns:
            A `data_tools.published.base.PublishedDataset`.
        """
        return open_published(self.data, self.root, protocol=self.protocol, **options)

    def has(self, split: str, **options: Any) -> bool:
        """Returns whether a split has clips.

        Args:
            split: "train", "val" or "test".
            options: options of a published data set.

        Raises:
            FileNotFoundError: if an annotation file is missing.
            ValueError: if an annotation file is damaged.
        """
        if self.prepared:
            return split in self.folder().split_names()
        return split in self.opened(**options).split_names()

    def select(
        self, split: str, modalities: Sequence[str], labels: bool = False, **options: Any
    ) -> Selection:
        """Selects the clips of a split, at most `limit`.

        Args:
            split: "train", "val" or "test".
            modalities: modalities to read.
            labels: whether labels are read too.
            options: options of a published data set.

        Returns:
            The selection.

        Raises:
            FileNotFoundError: if the folder or a file is missing.
            ValueError: if an argument or a file is wrong.
        """
        if self.data == STORE:
            chosen = StoreFolder(self.root).select(split, modalities, labels)
        else:
            # Prepared folders have one layout and one protocol.
            options = {} if self.prepared else {"protocol": self.protocol, **options}
            chosen = select(self.root, split, modalities, labels, self.data, **options)
        if self.limit is not None:
            chosen.examples = fewer(chosen.examples, self.limit)
        return chosen

    def rows(self, split: str) -> np.ndarray:
        """Returns the row numbers of a split of a prepared folder or a store, at most `limit`.

        Args:
            split: "train", "val" or "test".

        Returns:
            (clips,) int64.
        """
        if self.limit is None:
            return self.folder().order(split)
        return np.array([example.row for example in self.select(split, ()).examples])

    def identity(self) -> dict[str, Any]:
        """Identifies the clips by content: the same data elsewhere have the same identity.

        Of a prepared folder it holds what the manifest says, with a checksum of every file; of a
        published data set the checksums of the annotation files and of some clips' features, since
        all features can be terabytes.

        Returns:
            Dict of types of JSON.

        Raises:
            FileNotFoundError: if no annotation file is there.
        """
        if self.data == STORE:
            return {"data": self.data, **StoreFolder(self.root).identity}
        if self.prepared:
            manifest = data_tools.FeatureFolder(self.root).manifest
            kept = {key: manifest[key] for key in ("arguments", "options", "sources", "files")}
            return {"data": self.data, **kept}
        opened = self.opened()
        annotations: dict[str, str | None] = {}
        for name in opened.annotation_files():
            try:
                annotations[name] = sha256_file(opened.find(name))
            except FileNotFoundError:
                # A data set may be read with one of several annotation files.
                annotations[name] = None
        if not any(annotations.values()):
            raise FileNotFoundError(
                f"{self.root} must hold the annotations of {self.data}: {', '.join(annotations)}"
            )
        return {
            "data": self.data,
            "protocol": self.protocol,
            "max_clips": self.limit,
            "annotations": {name: digest for name, digest in annotations.items() if digest},
            "features": self._sampled_checksums(opened),
        }

    def _sampled_checksums(self, opened: Any) -> dict[str, str]:
        found = {}
        for split, examples in sorted(opened.splits.items()):
            if not examples:
                continue
            sample = fewer(examples, CHECKED_CLIPS)
            for modality in opened.modalities:
                digest = hashlib.sha256()
                try:
                    source = opened.source(modality, split)
                except (FileNotFoundError, ValueError):
                    # Features of this modality are not here: a recipe may not need them.
                    continue
                for example in sample:
                    try:
                        digest.update(np.ascontiguousarray(source.read(example)).tobytes())
                    except (FileNotFoundError, ValueError):
                        digest.update(b"unreadable")
                found[f"{split} {modality}"] = digest.hexdigest()
        return found


def modalities_of(data: str) -> tuple[str, ...]:
    """Returns the modalities of a data set, in the order in which they update a codebook.

    Args:
        data: name of the data set.

    Example:

    >>> modalities_of("digits"), modalities_of("mscoco")
    (('audio', 'video', 'text'), ('video', 'text'))
    """
    return MODALITIES if data in CLIP_SETS else published_class(data).modalities


def fewer(examples: Sequence[Example], limit: int) -> list[Example]:
    """Returns some of the clips, the same on every machine, in their own order.

    Args:
        examples: clips.
        limit: upper limit of their number.

    Example:

    >>> [clip.key for clip in fewer([Example(key, key, key) for key in "abcd"], 2)]
    ['a', 'c']
    """

    def place(example: Example) -> bytes:
        return hashlib.blake2b(example.key.encode(), digest_size=8).digest()

    chosen = {id(example) for example in sorted(examples, key=place)[:limit]}
    return [example for example in examples if id(example) in chosen]


def clip_classes(labels: np.ndarray) -> np.ndarray:
    """Returns the class of each clip: the one that most of its segments have.

    Args:
        labels: (clips, frames, classes + 1), the last column background.

    Returns:
        (clips,) int.

    Example:

    >>> clip_classes(np.array([[[1, 0, 0], [0, 1, 0], [0, 1, 0]]])).tolist()
    [1]
    """
    return labels[..., :-1].sum(axis=1).argmax(axis=-1)


def clip_labels(clips: Clips, split: str) -> np.ndarray:
    """Returns the class of each clip of a prepared split.

    Args:
        clips: the clips.
        split: "train", "val" or "test".

    Returns:
        (clips,) int.
    """
    return clip_classes(clips.folder().read("labels", clips.rows(split)))


def num_clips(clips: Clips) -> dict[str, int]:
    """Returns the number of clips of each split of a prepared folder.

    Args:
        clips: the clips.
    """
    return {split: len(clips.rows(split)) for split in clips.folder().split_names()}


def clip_origins(clips: Clips, split: str, kind: str) -> dict[str, list[list[str]]]:
    """Returns what the events of the clips of a prepared split are made of.

    Args:
        clips: the clips.
        split: "train", "val" or "test".
        kind: "groups", such as Freesound recordings, or "collections", such as ESC-10.

    Returns:
        Modality to the names of each clip; none where the modality was made for the clip alone.
        A clip of a store is a group of its own.
    """
    if clips.data == STORE:
        stored = StoreFolder(clips.root)
        names = [[stored.clips[row]["id"]] for row in clips.rows(split).tolist()]
        unknown: list[list[str]] = [[] for _ in names]
        return dict.fromkeys(clips.modalities(), names if kind == "groups" else unknown)
    folder = data_tools.FeatureFolder(clips.root)
    origins = data_tools.read_clip_origins(folder)
    found = [getattr(origins[row], kind) for row in clips.rows(split)]
    return {name: [list(of.get(name, ())) for of in found] for name in clips.modalities()}


class Encoded(NamedTuple):
    """Codes and labels of clips."""

    codes: dict[str, np.ndarray]
    """`general` and `quantized`, float (clips, frames, dim) or (clips, dim); `indices` where the
    model has codes."""
    labels: Any
    """(clips, frames, classes + 1), the last column background; None without labels."""
    missing: int
    """Clips that could not be read."""
    mask: np.ndarray | None = None
    """(clips, frames) bool, False for padding; None if all frames count."""


def encode(
    backbone: keras_cmg.models.Backbone,
    clips: Clips,
    split: str,
    modality: str,
    level: str = "segment",
    labels: bool = False,
    encoder: keras.Model | None = None,
    **options: Any,
) -> Encoded:
    """Encodes one modality of a split with the frozen backbone.

    Args:
        backbone: the encoder, built.
        clips: where clips are read from.
        split: "train", "val" or "test".
        modality: one of the backbone's.
        level: "segment" or "clip".
        labels: whether labels are read too.
        encoder: one of `encoders`, so that one is compiled for several splits.
        options: options of a published data set.

    Returns:
        Codes and labels of the clips that can be read.

    Raises:
        ValueError: if no clip can be read, or an argument is wrong.
    """
    selection = clips.select(split, (modality,), labels, **options)
    bad: list[str] = []
    source = SelectionSource(selection, on_error=lambda key, reason: bad.append(f"{key}: {reason}"))
    reader = BatchReader(source, ENCODE_BATCH)
    encoder = encoder or keras_cmg.models.ModalityEncoder(backbone, modality, level=level)
    codes = encoder.predict(FeatureDataset(reader), verbose=0)
    stacked = None
    if labels:
        of_labels = selection.sources["labels"]
        stacked = of_labels.read_many(source.examples)
    mask = None
    if modality == "text":
        arrays = source.read_all()
        add_text_mask(arrays)
        mask = arrays["text_mask"]
    selection.close()
    return Encoded(codes, stacked, len(bad), mask)


def encoders(
    backbone: keras_cmg.models.Backbone,
    modalities: Sequence[str],
    levels: Mapping[str, str] = LEVELS,
) -> dict[str, keras.Model]:
    """Returns an encoder per modality, each compiled once for all splits.

    Args:
        backbone: the encoder, built.
        modalities: modalities to encode.
        levels: modality to "segment" or "clip"; "segment" where none is given.

    Returns:
        Modality to model.
    """
    return {
        name: keras_cmg.models.ModalityEncoder(backbone, name, level=levels.get(name, "segment"))
        for name in modalities
    }


def batches(
    clips: Clips,
    split: str,
    modalities: Sequence[str],
    batch_size: int,
    seed: int,
    shuffle: bool,
    report_missing: Callable[[int], None] = lambda missing: None,
    first_epoch: int = 0,
    **options: Any,
) -> FeatureDataset:
    """Returns whole batches for training without labels; losses of smaller ones do not compare.

    Args:
        clips: where clips are read from.
        split: "train", "val" or "test".
        modalities: modalities to read.
        batch_size: clips per batch.
        seed: seed of the order.
        shuffle: whether each epoch has an order of its own.
        report_missing: called with the number of clips that could not be read.
        first_epoch: number of epochs that were trained before.
        options: options of a published data set.

    Returns:
        The batches.

    Raises:
        ValueError: if there is not one whole batch, or an argument is wrong.
    """
    bad: list[str] = []
    source = SelectionSource(
        clips.select(split, modalities, **options),
        on_error=lambda key, reason: bad.append(key),
    )
    start = first_epoch * (source.num_clips // batch_size)
    reader = BatchReader(source, batch_size, seed, shuffle, drop_remainder=True, start_step=start)
    report_missing(len(bad))
    return FeatureDataset(reader)
