"""Batches as a `keras.utils.PyDataset`, on which every engine trains."""

from __future__ import annotations

from typing import Any

import keras

from data_tools.loading.batch_reader import BatchReader


class FeatureDataset(keras.utils.PyDataset):
    """Offers the batches of a reader to Keras, pass after pass.

    A pass is as long as an epoch and begins at the reader's `start_step`: a model that resumes in
    the middle of an epoch trains on the batches that it would have seen without the interruption.
    The next pass begins once an epoch of `fit` has read the last batch of the pass; the first
    batch, which Keras reads to build a model, does not count unless it is the only one. `fit`
    shuffles the order of the batches of a pass unless it is called with `shuffle=False`. With
    `use_multiprocessing=True` each epoch that Keras begins counts as a pass, also the one that
    builds the model, so that training does not resume exactly.

    Args:
        reader: reader of the batches.
        kwargs: arguments of `keras.utils.PyDataset`, such as `workers`.

    Example:
        >>> import data_tools
        >>> path = data_tools.prepare("synthetic", "features", num_clips={"train": 5})
        >>> dataset = data_tools.load(path, batch_size=2, drop_remainder=False)
        >>> len(dataset), len(dataset[0]), sorted(dataset[0][0])
        (3, 1, ['audio', 'text', 'text_mask', 'video'])
    """

    def __init__(self, reader: BatchReader, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = reader
        self.passes = 0
        """Number of finished passes."""
        self._training = self._read_last = False

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batch = self.reader.batch(index, self.passes)
        self._read_last |= index == len(self) - 1
        return batch

    def on_epoch_begin(self) -> None:
        self._training, self._read_last = True, False

    def on_epoch_end(self) -> None:
        # Keras also ends an epoch before it begins the first one. With `use_multiprocessing` other
        # processes read the batches, so that this object cannot tell which were read.
        elsewhere = self.use_multiprocessing and self.workers > 0
        self.passes += self._training and (self._read_last or elsewhere)
        self._training = self._read_last = False
