"""Batches of a store in an order fixed by seed and epoch, from any step on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.store.memory import BatchMemory
from data_tools.store.store import Store

LABELS = "labels"


class StoreReader:
    """Batches of a store, counted in steps from the first of the first epoch.

    Every batch is a function of the arguments and its step, so that an interrupted training goes on
    exactly where it was: with `start_step` the step that comes next.

    Args:
        root: the store.
        split: split of the rows to read; all rows if None.
        modalities: fields that a batch has; all but the labels if None. The others are not read.
        batch_size: rows per batch.
        seed: of the shuffling.
        shuffle: whether each epoch has an order of its own.
        drop_remainder: leave out a last batch that is not full.
        labels: whether each batch comes with the field "labels".
        dtype: "float32" to widen what is stored as float16; None leaves all as it is stored.
        start_step: step with which to begin.
        verify: see `Store`.

    Raises:
        FileNotFoundError: the folder is no finished store.
        ValueError: an argument or a file is wrong.

    Example:
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     for number in range(5):
        ...         writer.append(f"clip{number}", {"audio": np.full(2, number)})
        >>> reader = StoreReader("store", batch_size=2, shuffle=True)
        >>> [batch["audio"][:, 0].tolist() for batch, in reader.epoch(0)]
        [[2.0, 4.0], [3.0, 0.0], [1.0]]
        >>> later = StoreReader("store", batch_size=2, shuffle=True, start_step=2)
        >>> [batch["audio"][:, 0].tolist() for batch, in later.epoch(0)][0]
        [1.0]
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        modalities: Sequence[str] | None = None,
        batch_size: int = 80,
        seed: int = 0,
        shuffle: bool = False,
        drop_remainder: bool = False,
        labels: bool = False,
        dtype: str | None = "float32",
        start_step: int = 0,
        verify: str = "once",
    ) -> None:
        self.store = Store(root, verify)
        known = [name for name in self.store.fields if name != LABELS]
        chosen = known if modalities is None else modalities
        if isinstance(chosen, str) or not chosen or not set(chosen) <= set(known):
            raise ValueError(
                f"`modalities` must be a sequence of at least one of {known}; "
                f"received: {modalities!r}"
            )
        if labels and LABELS not in self.store.fields:
            raise ValueError(f"`labels` must be False: {root} has no field {LABELS!r}")
        for name, value, least in (("batch_size", batch_size, 1), ("start_step", start_step, 0)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}; received: {value}")
        if dtype is not None:
            check_choice("dtype", dtype, ("float32",))
        self.rows = np.arange(len(self.store)) if split is None else self.store.rows_of_split(split)
        if len(self.rows) < (batch_size if drop_remainder else 1):
            raise ValueError(
                "`batch_size` must not exceed the rows when the last batch is dropped, and there "
                f"must be rows; received: {batch_size} for {len(self.rows)} rows"
            )
        self.kinds = (*chosen, LABELS) if labels else tuple(chosen)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.drop_remainder, self.dtype, self.start_step = drop_remainder, dtype, start_step
        self._memory = BatchMemory()
        self._order: tuple[int, np.ndarray] = (-1, self.rows)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    def order(self, epoch: int) -> np.ndarray:
        """Row numbers in the order of an epoch."""
        if not self.shuffle:
            return self.rows
        # One tuple, replaced at once: threads that race make the same order twice at worst.
        known = self._order
        if known[0] != epoch:
            known = (epoch, np.random.default_rng([self.seed, epoch]).permutation(self.rows))
            self._order = known
        return known[1]

    def step(self, step: int) -> tuple[Any, ...]:
        """Batch of a step, `(arrays,)` or `(arrays, labels)`, whatever `start_step` is."""
        epoch, index = divmod(step, len(self))
        rows = self.order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        arrays = {}
        for kind in self.kinds:
            field = self.store.fields[kind]
            single = self.dtype == "float32" and field.dtype == "float16"
            out = self._memory.take(
                (len(rows), *field.shape), "float32" if single else field.stored
            )
            arrays[kind] = self.store.read(kind, rows, out)
        if "text" in arrays:
            arrays["text_mask"] = np.any(arrays["text"] != 0, axis=-1)
        labels = arrays.pop(LABELS, None)
        return (arrays,) if labels is None else (arrays, labels)

    def batch(self, index: int, epoch: int) -> tuple[Any, ...]:
        """Batch number `index` of the `epoch`-th pass from `start_step` on."""
        return self.step(self.start_step + epoch * len(self) + index)

    def epoch(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """All batches of the `epoch`-th pass from `start_step` on; each pass has `len` of them."""
        return (self.batch(index, epoch) for index in range(len(self)))


class BatchStream:
    """Endless batches of a reader, whose position can be saved and set.

    Args:
        reader: where the batches come from.

    Example:
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     for number in range(5):
        ...         writer.append(f"clip{number}", {"audio": np.full(2, number)})
        >>> stream = BatchStream(StoreReader("store", batch_size=2, shuffle=True))
        >>> _ = next(stream)
        >>> state = stream.state_dict()
        >>> (expected,) = next(stream)
        >>> other = BatchStream(StoreReader("store", batch_size=2, shuffle=True))
        >>> other.load_state_dict(state)
        >>> bool((next(other)[0]["audio"] == expected["audio"]).all())
        True
    """

    def __init__(self, reader: StoreReader) -> None:
        self.reader = reader
        self.step = reader.start_step

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        batch = self.reader.step(self.step)
        self.step += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The step that comes next, and what makes the order, as numbers and truth values."""
        reader = self.reader
        return {
            "step": self.step,
            "num_rows": len(reader.rows),
            "batch_size": reader.batch_size,
            "seed": reader.seed,
            "shuffle": reader.shuffle,
            "drop_remainder": reader.drop_remainder,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to the step of a state.

        Args:
            state: what `state_dict` gave.

        Raises:
            ValueError: the state is of other rows, batches or order.
        """
        own = self.state_dict()
        different = [name for name in own if name != "step" and own[name] != state.get(name)]
        if different or "step" not in state:
            raise ValueError(
                "`state` must be of a stream over the same rows in the same order; "
                f"{different or ['step']} differ: {dict(state)} against {own}"
            )
        self.step = int(state["step"])
