"""Batches as a `keras.utils.PyDataset`, which every engine trains on."""

from __future__ import annotations

from typing import Any

import keras

from data_tools.loading.load import BatchReader


class FeatureDataset(keras.utils.PyDataset):
    """Batches of a reader; a new epoch's order begins when Keras ends the one before.

    `fit` also ends an epoch before its first, on every engine, so that it trains from epoch 1 on.
    `fit` by default also shuffles the order of the batches with Python's global generator; pass
    `shuffle=False` to `fit` for exactly the order of the reader.

    Args:
        reader: where the batches come from.
        kwargs: of `keras.utils.PyDataset`, such as `workers`.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     dataset = data_tools.load(path, batch_size=2, drop_remainder=False)
        >>> len(dataset), len(dataset[0]), sorted(dataset[0][0])
        (3, 1, ['audio', 'text', 'text_mask', 'video'])
    """

    def __init__(self, reader: BatchReader, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = reader
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.reader.batch(index, self.epoch)

    def on_epoch_end(self) -> None:
        self.epoch += 1
