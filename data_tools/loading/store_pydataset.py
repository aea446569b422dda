"""A store as a `keras.utils.PyDataset` that trains exactly the steps it should."""

from __future__ import annotations

from typing import Any

import keras

from data_tools.loading.store_reader import StoreReader


class StoreDataset(keras.utils.PyDataset):
    """Batches of a reader, pass after pass.

    A pass is as long as an epoch, and begins at the reader's `start_step`: a model that resumes in
    the middle of an epoch sees the batches that it would have seen without the interruption. The
    next pass begins once the last batch of the one before was taken: what Keras reads to build a
    model does not count. `fit` by default shuffles the order of the batches of a pass; use
    `shuffle=False` there, so that the order is the reader's.

    Args:
        reader: where the batches come from.
        kwargs: of `keras.utils.PyDataset`, such as `workers`.

    Example:
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     for number in range(4):
        ...         writer.append(f"clip{number}", {"audio": np.full(2, number)})
        >>> dataset = StoreDataset(StoreReader("store", batch_size=2, start_step=1))
        >>> [dataset[index][0]["audio"][0, 0].item() for index in range(len(dataset))]
        [2.0, 0.0]
    """

    def __init__(self, reader: StoreReader, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = reader
        self.passes = 0
        self._taken = False

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        batch = self.reader.batch(index, self.passes)
        self._taken |= index == len(self) - 1
        return batch

    def on_epoch_end(self) -> None:
        # Keras also ends an epoch before the first one, in which it may have read a few batches.
        self.passes += self._taken
        self._taken = False
