"""Feature folders as batches for training, in three formats behind one call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_tools.layout import MODALITIES, FeatureFolder, check_choice

FORMATS = ("pydataset", "tf", "numpy")


class BatchReader:
    """Batches of one split of a feature folder, in an order fixed by seed and epoch.

    Args:
        root: the folder.
        split: "train", "val" or "test".
        modalities: which of "audio", "video", "text" a batch has.
        batch_size: clips per batch.
        seed: of the shuffling.
        shuffle: whether each epoch has an order of its own.
        drop_remainder: leave out a last batch that is not full.
        labels: whether each batch comes with its labels.
        memory_limit: bytes up to which the split is kept in memory; read row by row beyond.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: an argument or a file is wrong.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     reader = BatchReader(path, batch_size=2, modalities=("audio",))
        ...     [batch["audio"].shape for batch, in reader.epoch(0)]
        [(2, 10, 128), (2, 10, 128), (1, 10, 128)]
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        modalities: Sequence[str] = MODALITIES,
        batch_size: int = 80,
        seed: int = 0,
        shuffle: bool = False,
        drop_remainder: bool = False,
        labels: bool = False,
        memory_limit: int = 2**30,
    ) -> None:
        if isinstance(modalities, str) or not modalities:
            raise ValueError(
                f"`modalities` must be a sequence of at least one of {MODALITIES}; "
                f"received: {modalities!r}"
            )
        for modality in modalities:
            check_choice("modalities", modality, MODALITIES)
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1; received: {batch_size}")
        self.folder = FeatureFolder(root)
        self.rows = self.folder.order(split)
        if drop_remainder and len(self.rows) < batch_size:
            raise ValueError(
                "`batch_size` must not exceed the clips of the split when the last batch is "
                f"dropped; received: {batch_size} for {len(self.rows)} clips of {split!r}"
            )
        self.kinds = (*modalities, "labels") if labels else tuple(modalities)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_remainder = drop_remainder
        row_sizes = [4 * int(np.prod(self.folder.array(kind).shape[1:])) for kind in self.kinds]
        self._memory: dict[str, np.ndarray] | None = None
        if len(self.rows) * sum(row_sizes) <= memory_limit:
            self._memory = {kind: self.folder.read(kind, self.rows) for kind in self.kinds}
            self.folder.close()

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of the clips at these positions of the split, `text_mask` beside the text."""
        if self._memory is None:
            arrays = {kind: self.folder.read(kind, self.rows[positions]) for kind in self.kinds}
        else:
            arrays = {kind: array[positions] for kind, array in self._memory.items()}
        if "text" in arrays:
            arrays["text_mask"] = np.any(arrays["text"] != 0, axis=-1)
        return arrays

    def batch(self, index: int, epoch: int) -> tuple[Any, ...]:
        """Batch of an epoch: `(arrays,)`, or `(arrays, labels)`."""
        positions = np.arange(len(self.rows))
        if self.shuffle:
            positions = np.random.default_rng([self.seed, epoch]).permutation(positions)
        arrays = self.read(positions[index * self.batch_size : (index + 1) * self.batch_size])
        labels = arrays.pop("labels", None)
        return (arrays,) if labels is None else (arrays, labels)

    def epoch(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """All batches of an epoch."""
        return (self.batch(index, epoch) for index in range(len(self)))


def load(
    root: str | os.PathLike[str],
    split: str = "train",
    modalities: Sequence[str] = MODALITIES,
    batch_size: int = 80,
    seed: int = 0,
    shuffle: bool | None = None,
    format: str = "pydataset",
    drop_remainder: bool | None = None,
    labels: bool = False,
) -> Any:
    """Loads one split of a feature folder in the AVE layout.

    Args:
        root: the folder.
        split: "train", "val" or "test".
        modalities: which of "audio", "video", "text" to read.
        batch_size: clips per batch.
        seed: of the shuffling; the order is fixed by seed and epoch.
        shuffle: a new order every epoch; by default for "train" alone. Formats with batches only.
        format: "numpy" for the whole split as arrays; "pydataset" for a `keras.utils.PyDataset`,
            "tf" for a `tf.data.Dataset`.
        drop_remainder: leave out a last batch that is not full; by default as `shuffle`.
        labels: also the labels (batch, frames, classes + 1).

    Returns:
        "numpy": dict of float32 arrays `audio` (clips, frames, 128), `video` (clips, frames, 7, 7,
        channels), `text` (clips, tokens, dim), bool `text_mask` (clips, tokens) and, if asked,
        `labels`. Otherwise batches: tuples `(dict,)` or `(dict, labels)`.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: an argument or a file is wrong.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     arrays = load(path, format="numpy", labels=True)
        >>> arrays["video"].shape, arrays["labels"].shape
        ((5, 10, 7, 7, 64), (5, 10, 11))
    """
    check_choice("format", format, FORMATS)
    if format == "numpy":
        reader = BatchReader(root, split, modalities, labels=labels, memory_limit=0)
        arrays = reader.read(np.arange(len(reader.rows)))
        reader.folder.close()
        return arrays
    shuffle = split == "train" if shuffle is None else shuffle
    drop_remainder = shuffle if drop_remainder is None else drop_remainder
    reader = BatchReader(root, split, modalities, batch_size, seed, shuffle, drop_remainder, labels)
    if format == "pydataset":
        from data_tools.pydataset import FeatureDataset

        return FeatureDataset(reader)
    from data_tools.tf_dataset import feature_dataset

    return feature_dataset(reader)
