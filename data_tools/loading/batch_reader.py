"""Batches of clips in an order that seed and epoch determine, from any step on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_tools.loading.clip_source import LABELS, ClipSource


class BatchReader:
    """Reads batches of clips, counted in steps from the first batch of the first epoch.

    Each batch is a function of the arguments and of its step. An interrupted training therefore
    continues exactly where it stopped if `start_step` is the next step.

    Args:
        source: clips to read.
        batch_size: clips per batch.
        seed: seed of the order.
        shuffle: draw a new order for each epoch.
        drop_remainder: leave out a last batch that is not full.
        start_step: step of the first batch.

    Raises:
        ValueError: if a number is out of range or there is no batch.

    Example:
        >>> import data_tools
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     for number in range(5):
        ...         writer.append(f"clip{number}", {"audio": np.full(2, number)})
        >>> source = data_tools.loading.StoreSource("store")
        >>> reader = BatchReader(source, batch_size=2, shuffle=True)
        >>> [batch["audio"][:, 0].tolist() for batch, in reader.epoch(0)]
        [[2.0, 4.0], [3.0, 0.0], [1.0]]
        >>> later = BatchReader(source, batch_size=2, shuffle=True, start_step=2)
        >>> later.batch(0, 0)[0]["audio"][:, 0].tolist()
        [1.0]
    """

    def __init__(
        self,
        source: ClipSource,
        batch_size: int = 80,
        seed: int = 0,
        shuffle: bool = False,
        drop_remainder: bool = False,
        start_step: int = 0,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("start_step", start_step, 0)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}. Received: {value}")
        if source.num_clips < (batch_size if drop_remainder else 1):
            raise ValueError(
                "`batch_size` must not exceed the number of clips if the last batch is dropped, "
                f"and there must be clips. Received: {batch_size} for {source.num_clips} clips of "
                f"{source.name}"
            )
        self.source = source
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.drop_remainder, self.start_step = drop_remainder, start_step
        self._order: tuple[int, np.ndarray] = (-1, np.arange(source.num_clips))

    def __len__(self) -> int:
        whole, rest = divmod(self.source.num_clips, self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    def order(self, epoch: int) -> np.ndarray:
        """Returns the positions of the clips in the order of an epoch, (clips,) int."""
        known = self._order
        if not self.shuffle:
            return known[1]
        # One tuple, replaced at once: threads that race compute the same order twice at worst.
        if known[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            known = (epoch, rng.permutation(self.source.num_clips))
            self._order = known
        return known[1]

    def step(self, step: int) -> tuple[Any, ...]:
        """Reads the batch of a step, counted from step 0 whatever `start_step` is.

        Args:
            step: number of batches before it.

        Returns:
            `(arrays,)`, or `(arrays, labels)` if the source has labels; `arrays` has a boolean
            `text_mask` beside `text`, False at zero vectors.

        Raises:
            ValueError: if a clip cannot be read; the message names it.
        """
        epoch, index = divmod(step, len(self))
        start = index * self.batch_size
        arrays = self.source.read(self.order(epoch)[start : start + self.batch_size])
        add_text_mask(arrays)
        labels = arrays.pop(LABELS, None)
        return (arrays,) if labels is None else (arrays, labels)

    def batch(self, index: int, epoch: int) -> tuple[Any, ...]:
        """Reads batch `index` of pass number `epoch`; passes begin at `start_step`."""
        return self.step(self.start_step + epoch * len(self) + index)

    def epoch(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """Iterates over the `len(self)` batches of pass number `epoch`."""
        return (self.batch(index, epoch) for index in range(len(self)))


def add_text_mask(arrays: dict[str, np.ndarray]) -> None:
    """Adds `text_mask` to arrays that have `text`.

    Args:
        arrays: dict of arrays; `text` is (clips, tokens, dim).

    Example:
        >>> arrays = {"text": np.array([[[1.0], [0.0]]])}
        >>> add_text_mask(arrays)
        >>> arrays["text_mask"]
        array([[ True, False]])
    """
    if "text" in arrays:
        arrays["text_mask"] = np.any(arrays["text"] != 0, axis=-1)
