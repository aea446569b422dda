"""Global batches of a dict of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np


class ArrayBatches(keras.utils.PyDataset):
    """Yields the global batches of a dict of arrays.

    Args:
        arrays: name to array `(clips, ...)`.
        batch_size: clips per global batch.

    Example:

    >>> [batch["audio"].shape for (batch,) in ArrayBatches({"audio": np.zeros((3, 10, 4))}, 2)]
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
        """Draws a new order of the clips.

        Args:
            seed: seed of the order, the same on every process.

        Example:

        >>> batches = ArrayBatches({"audio": np.arange(4)}, 4)
        >>> batches.shuffle(0)
        >>> sorted(batches[0][0]["audio"].tolist())
        [0, 1, 2, 3]
        """
        self.order = np.random.default_rng(seed).permutation(len(self.order))
