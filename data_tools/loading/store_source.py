"""Clips of a store."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.loading.clip_source import LABELS, ClipSource
from data_tools.store.memory import BatchMemory
from data_tools.store.store import Store


class StoreSource(ClipSource):
    """Reads the rows of a store, into memory that is reused once a batch is released.

    Args:
        root: folder of the store.
        split: split of the rows to read; all rows if None.
        modalities: fields to read; all but the labels if None. Other fields are not read.
        labels: read the field "labels" too.
        dtype: "float32" to convert float16 fields; None to keep all dtypes as stored, which is
            fastest.
        verify: "once", "always" or "never": when a row is compared with its checksum.

    Raises:
        FileNotFoundError: if the folder is not a finished store.
        ValueError: if an argument or a file is wrong.

    Example:
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     writer.append("clip", {"audio": np.ones(2)})
        >>> StoreSource("store").read(np.array([0]))
        {'audio': array([[1., 1.]], dtype=float32)}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str | None = None,
        modalities: Sequence[str] | None = None,
        labels: bool = False,
        dtype: str | None = "float32",
        verify: str = "once",
    ) -> None:
        self.store = Store(root, verify)
        known = [name for name in self.store.fields if name != LABELS]
        chosen = known if modalities is None else modalities
        if isinstance(chosen, str) or not chosen or not set(chosen) <= set(known):
            raise ValueError(
                f"`modalities` must be a sequence of at least one of {known}. "
                f"Received: {modalities!r}"
            )
        if labels and LABELS not in self.store.fields:
            raise ValueError(f"`labels` must be False: {root} has no field {LABELS!r}")
        if dtype is not None:
            check_choice("dtype", dtype, ("float32",))
        self.rows = np.arange(len(self.store)) if split is None else self.store.rows_of_split(split)
        self.name = str(root) if split is None else f"{root} ({split})"
        self.num_clips = len(self.rows)
        self.fields = (*chosen, LABELS) if labels else tuple(chosen)
        self.dtype = dtype
        self._memory = BatchMemory()

    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        rows = self.rows[positions]
        arrays = {}
        for name in self.fields:
            field = self.store.fields[name]
            single = self.dtype == "float32" and field.dtype == "float16"
            dtype = "float32" if single else field.stored
            out = self._memory.take((len(rows), *field.shape), dtype)
            arrays[name] = self.store.read(name, rows, out)
        return arrays

    def close(self) -> None:
        self.store.close()
