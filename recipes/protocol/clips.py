"""Clips that recipes read: of prepared folders and of published data sets, by one way."""

from __future__ import annotations

import argparse
import contextlib
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
from data_tools.loading.pydataset import FeatureDataset
from data_tools.published.base import Example
from data_tools.published.registry import open_published, published_class
from data_tools.published.selection import PREPARED, Selection, select
from recipes.protocol.probing import ENCODE_BATCH

LEVELS = {"text": "clip"}
"""At which level a modality is encoded for probes, where that is not "segment"."""


class Clips(NamedTuple):
    """Where clips are read from, and which."""

    data: str
    """Name of the data set."""
    root: Path
    """A prepared folder, or the folder of a published data set."""
    protocol: str = "heldout"
    limit: int | None = None
    """Clips of each split at most, chosen by a hash; all if None."""

    @property
    def prepared(self) -> bool:
        """Whether the folder was prepared here, from raw signals."""
        return self.data in PREPARED

    def modalities(self) -> tuple[str, ...]:
        """What the clips have."""
        return modalities_of(self.data)

    def categories(self, **options: Any) -> tuple[str, ...]:
        """Names of the classes; none where the data set has no classes."""
        if self.prepared:
            return tuple(data_tools.FeatureFolder(self.root).categories)
        opened = open_published(self.data, self.root, protocol=self.protocol, **options)
        return tuple(opened.categories)

    def select(
        self, split: str, modalities: Sequence[str], labels: bool = False, **options: Any
    ) -> Selection:
        """The clips of a split, at most `limit`.

        Args:
            split: "train", "val" or "test".
            modalities: which to read.
            labels: whether labels are wanted.
            options: of a published data set.

        Returns:
            The selection.

        Raises:
            FileNotFoundError: the folder or a file is missing.
            ValueError: an argument or a file is wrong.
        """
        # Prepared folders have one layout and one way of splitting.
        options = {} if self.prepared else {"protocol": self.protocol, **options}
        chosen = select(self.root, split, modalities, labels, self.data, **options)
        if self.limit is not None:
            chosen.examples = fewer(chosen.examples, self.limit)
        return chosen

    def split_names(self, **options: Any) -> tuple[str, ...]:
        """Names of the splits that have clips.

        Args:
            options: options of a published data set.

        Returns:
            The names.

        Raises:
            FileNotFoundError: if an annotation file is missing.
            ValueError: if an annotation file is damaged.
        """
        if self.prepared:
            return data_tools.FeatureFolder(self.root).split_names()
        opened = open_published(self.data, self.root, protocol=self.protocol, **options)
        return opened.split_names()

    def identity(self) -> dict[str, Any]:
        """What the clips are, for a result: checksums of the manifest, or of annotations."""
        if not self.prepared:
            opened = open_published(self.data, self.root)
            annotations = {}
            for name in opened.annotation_files():
                with contextlib.suppress(FileNotFoundError):
                    annotations[name] = sha256_file(opened.find(name))
            return {"root": str(self.root), "max_clips": self.limit, "annotations": annotations}
        manifest = data_tools.FeatureFolder(self.root).manifest
        return {key: manifest[key] for key in ("arguments", "options", "sources", "files")}


def modalities_of(data: str) -> tuple[str, ...]:
    """Modalities of a data set.

    Args:
        data: its name.

    Returns:
        Names, in the order in which they update a codebook.

    Example:

    >>> modalities_of("digits"), modalities_of("mscoco")
    (('audio', 'video', 'text'), ('video', 'text'))
    """
    return MODALITIES if data in PREPARED else published_class(data).modalities


def fewer(examples: Sequence[Example], limit: int) -> list[Example]:
    """Some of the clips, the same ones on every machine, in their own order.

    Args:
        examples: clips.
        limit: how many at most.

    Returns:
        The clips.

    Example:

    >>> [clip.key for clip in fewer([Example(key, key, key) for key in "abcd"], 2)]
    ['a', 'c']
    """

    def place(example: Example) -> bytes:
        return hashlib.blake2b(example.key.encode(), digest_size=8).digest()

    chosen = {id(example) for example in sorted(examples, key=place)[:limit]}
    return [example for example in examples if id(example) in chosen]


class Encoded(NamedTuple):
    """Codes of clips, and what is known of these."""

    codes: dict[str, np.ndarray]
    """`general` and `quantized`, float (clips, frames, dim) or (clips, dim); `indices` where the
    system has codes."""
    labels: np.ndarray | None
    """(clips, frames, classes + 1), the last column background; None without labels."""
    missing: int
    """Clips that could not be read."""


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
    """Codes of one modality of a split, from the frozen backbone.

    Args:
        backbone: the encoder, built.
        clips: where they are read from.
        split: "train", "val" or "test".
        modality: one of the backbone's.
        level: "segment" or "clip".
        labels: whether labels are wanted.
        encoder: of `encoders`, so that one is compiled once for several splits.
        options: of a published data set.

    Returns:
        Codes and labels of the clips that can be read.

    Raises:
        ValueError: no clip can be read, or an argument is wrong.
    """
    selection = clips.select(split, (modality,), labels, **options)
    bad: list[str] = []
    clip_source = SelectionSource(
        selection, on_error=lambda key, reason: bad.append(f"{key}: {reason}")
    )
    reader = BatchReader(clip_source, ENCODE_BATCH)
    encoder = encoder or keras_cmg.models.ModalityEncoder(backbone, modality, level=level)
    codes = encoder.predict(FeatureDataset(reader), verbose=0)
    stacked = None
    if labels:
        source = selection.sources["labels"]
        stacked = np.stack([source.read(example) for example in clip_source.examples])
    selection.close()
    return Encoded(codes, stacked, len(bad))


def encoders(
    backbone: keras_cmg.models.Backbone,
    modalities: Sequence[str],
    levels: Mapping[str, str],
) -> dict[str, keras.Model]:
    """An encoder per modality, each compiled once whatever it is used on.

    Args:
        backbone: the encoder of all, built.
        modalities: which.
        levels: modality to level; "segment" where none is given.

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
    tell: Callable[[int], None] = lambda missing: None,
    **options: Any,
) -> FeatureDataset:
    """Batches for training without labels; whole ones only, so that losses compare.

    Args:
        clips: where they are read from.
        split: "train", "val" or "test".
        modalities: which to read.
        batch_size: clips per batch.
        seed: of the order.
        shuffle: whether each epoch has an order of its own.
        tell: is told how many clips could not be read.
        options: of a published data set.

    Returns:
        The batches.

    Raises:
        ValueError: there is not one whole batch, or an argument is wrong.
    """
    bad: list[str] = []
    source = SelectionSource(
        clips.select(split, modalities, **options),
        on_error=lambda key, reason: bad.append(key),
    )
    reader = BatchReader(source, batch_size, seed, shuffle, drop_remainder=True)
    tell(len(bad))
    return FeatureDataset(reader)


def add_arguments(parser: argparse.ArgumentParser, published: Sequence[str]) -> None:
    """Adds the options that say which clips are read.

    Args:
        parser: of a recipe.
        published: data sets that the recipe takes beside the prepared ones.
    """
    parser.add_argument(
        "--data",
        choices=[*published, *PREPARED],
        default="synthetic",
        help="data set (%(default)s)",
    )
    parser.add_argument("--root", help="its folder; of digits, that of the raw files")
    parser.add_argument("--features", help="folder of prepared features (default: OUT/features)")
    parser.add_argument(
        "--num-clips",
        type=int,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="clips to prepare, of digits and synthetic",
    )
    parser.add_argument(
        "--max-clips", type=int, metavar="N", help="clips of each split at most, of published data"
    )
    parser.add_argument(
        "--protocol",
        choices=("heldout", "reference"),
        help="heldout: choose on validation, read test labels once (default); reference: as the "
        "published code, which chooses on what it reports",
    )
