"""Each process's share of every global batch, where processes read data by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_cmg.backend import engine


class ArrayBatches(keras.utils.PyDataset):
    """Global batches of a dict of arrays.

    Args:
        arrays: name to array `(clips, ...)`.
        batch_size: clips per global batch.

    Example:

    >>> [batch["audio"].shape for batch, in ArrayBatches({"audio": np.zeros((3, 10, 4))}, 2)]
    [(2, 10, 4), (1, 10, 4)]
    """

    def __init__(self, arrays: Mapping[str, Any], batch_size: int):
        super().__init__()
        self.arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self.batch_size = batch_size
        self.order = np.arange(len(next(iter(self.arrays.values()))))

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, Any]]:
        if index >= len(self):
            raise IndexError(index)
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return ({name: array[rows] for name, array in self.arrays.items()},)

    def shuffle(self, seed: Any) -> None:
        """Another order of the clips.

        Args:
            seed: of the order, the same on every process.
        """
        self.order = np.random.default_rng(seed).permutation(len(self.order))


class ProcessShard(keras.utils.PyDataset):
    """One process's rows of every global batch; the processes' rows in order are the batch.

    Args:
        batches: the global batches, the same on every process.
        process: number of the process, from 0.
        num_processes: how many there are.
        shuffle: a new order every epoch: of clips for `ArrayBatches`, else of batches.

    Example:

    >>> batches = ArrayBatches({"audio": np.arange(4)}, 4)
    >>> [ProcessShard(batches, i, 2)[0][0]["audio"].tolist() for i in range(2)]
    [[0, 1], [2, 3]]
    """

    def __init__(self, batches: Any, process: int, num_processes: int, shuffle: bool = False):
        super().__init__()
        self.batches = batches
        self.process = process
        self.num_processes = num_processes
        self.shuffle = shuffle
        self.epoch = -1
        self.order = np.arange(len(batches))

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return keras.tree.map_structure(self._rows, self.batches[int(self.order[index])])

    def _rows(self, array):
        bounds = np.linspace(0, len(array), self.num_processes + 1).astype(int)
        return array[bounds[self.process] : bounds[self.process + 1]]

    def on_epoch_begin(self) -> None:
        self.epoch += 1
        self.batches.on_epoch_begin()
        if self.shuffle and isinstance(self.batches, ArrayBatches):
            self.batches.shuffle([0, self.epoch])
        elif self.shuffle:
            self.order = np.random.default_rng([0, self.epoch]).permutation(len(self.order))

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def shard_for_process(data: Any, options: dict[str, Any]) -> Any:
    """What this process reads of a data set.

    A dict of arrays and a `PyDataset` hold global batches, and each process takes its rows. Any
    other loader is left as it is: it yields the process's own rows already.

    Args:
        data: what was given to `fit` or `evaluate`.
        options: their other arguments; `batch_size` and `shuffle` are changed where they are seen
            to here.

    Returns:
        The data, as it is where one process reads for all.

    Raises:
        ValueError: for `validation_split`, which has no meaning for a share.

    Example:

    >>> shard_for_process({"audio": np.zeros((4, 10, 8))}, {"batch_size": 2})["audio"].shape
    (4, 10, 8)
    """
    process, num_processes = engine.current().reader()
    loader = not isinstance(data, Mapping | keras.utils.PyDataset)
    if num_processes == 1 or loader or isinstance(data, ProcessShard):
        return data
    if options.get("validation_split"):
        raise ValueError(
            "`validation_split` must not be given where several processes train; pass "
            f"`validation_data`. Received: {options['validation_split']}"
        )
    size = options.pop("batch_size", None) or 32
    if isinstance(data, Mapping):
        data = ArrayBatches(data, size)
    shuffle = bool(options.get("shuffle"))
    if shuffle:
        # Keras would shuffle the batches of each process on its own.
        options["shuffle"] = False
    return ProcessShard(data, process, num_processes, shuffle)
