"""The rows of every global batch that one process reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_cmg.backend import engine
from keras_cmg.distribution.array_batches import ArrayBatches


class ProcessShard(keras.utils.PyDataset):
    """Yields one process's rows of every global batch.

    The rows of all processes, concatenated in the order of the processes, are the global batch.

    Args:
        batches: the global batches, a `PyDataset` that is the same on every process.
        process_index: number of the process, from 0.
        num_processes: number of processes.
        shuffle: whether to draw a new order in every epoch: of clips for `ArrayBatches`, else of
            batches.

    Example:

    >>> batches = ArrayBatches({"audio": np.arange(4)}, 4)
    >>> [ProcessShard(batches, i, 2)[0][0]["audio"].tolist() for i in range(2)]
    [[0, 1], [2, 3]]
    """

    def __init__(self, batches: Any, process_index: int, num_processes: int, shuffle: bool = False):
        super().__init__(
            workers=batches.workers,
            use_multiprocessing=batches.use_multiprocessing,
            max_queue_size=batches.max_queue_size,
        )
        self.batches = batches
        self.process_index = process_index
        self.num_processes = num_processes
        self.shuffle = shuffle
        self.epoch = -1
        # A data set without end has no length, and keeps its order.
        self.order = None if batches.num_batches is None else np.arange(batches.num_batches)

    @property
    def num_batches(self) -> int | None:
        return self.batches.num_batches

    def __getitem__(self, index: int) -> Any:
        place = index if self.order is None else int(self.order[index])
        return keras.tree.map_structure(self._rows, self.batches[place])

    def _rows(self, array):
        bounds = np.linspace(0, len(array), self.num_processes + 1).astype(int)
        return array[bounds[self.process_index] : bounds[self.process_index + 1]]

    def on_epoch_begin(self) -> None:
        self.epoch += 1
        self.batches.on_epoch_begin()
        if self.shuffle and isinstance(self.batches, ArrayBatches):
            self.batches.shuffle([0, self.epoch])
        elif self.shuffle and self.order is not None:
            self.order = np.random.default_rng([0, self.epoch]).permutation(len(self.order))

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def shard_for_process(
    data: Any, batch_size: int | None = None, shuffle: bool = False
) -> tuple[Any, int | None, bool]:
    """Returns the part of a data set that this process reads.

    A dict of arrays and a `PyDataset` hold global batches, of which each process takes its rows.
    Any other data set is returned unchanged: it must yield the process's own rows.

    Args:
        data: a data set as `fit` and `evaluate` take it.
        batch_size: clips per global batch of a dict of arrays; default 32.
        shuffle: whether `fit` was asked to shuffle.

    Returns:
        The data, and the `batch_size` and `shuffle` that remain for Keras. All three are returned
        unchanged if one process reads for all.

    Example:

    >>> data, batch_size, shuffle = shard_for_process({"audio": np.zeros((4, 10, 8))}, 2)
    >>> data["audio"].shape, batch_size, shuffle
    ((4, 10, 8), 2, False)
    """
    process_index, num_processes = engine.current().reader_shard()
    global_batches = isinstance(data, Mapping | keras.utils.PyDataset)
    if num_processes == 1 or not global_batches or isinstance(data, ProcessShard):
        return data, batch_size, shuffle
    if isinstance(data, Mapping):
        data, batch_size = ArrayBatches(data, batch_size or 32), None
    # Keras would shuffle the batches of each process in an order of its own.
    return ProcessShard(data, process_index, num_processes, shuffle), batch_size, False
