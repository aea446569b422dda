"""Reads rows of a finished store; each row is verified when it is first read."""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.io.files import reading, shorten
from data_tools.store import rows
from data_tools.store.memory import widen
from data_tools.store.schema import INDEX, Field, read_schema, shard_path

VERIFY = ("once", "always", "never")
MAX_OPEN_FILES = 128
PIECE_BYTES = 2**20
"""Bytes that are read, verified and converted at once, so that they stay in the cache."""


def _runs(numbers: np.ndarray, shards: np.ndarray, limit: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of at most `limit` positions whose rows are adjacent on disk."""
    breaks = np.flatnonzero((np.diff(numbers) != 1) | (np.diff(shards) != 0)) + 1
    for start, end in zip([0, *breaks.tolist()], [*breaks.tolist(), len(numbers)], strict=True):
        for piece in range(start, end, limit):
            yield piece, min(piece + limit, end)


class Store:
    """Reads a feature store; it may be shared by threads and pickled.

    Args:
        root: the folder.
        verify: "once" compares each row with its checksum when it is first read here, "always" at
            each reading, "never" not at all.

    Raises:
        FileNotFoundError: if the folder is not a finished store.
        ValueError: if the schema is damaged, or `verify` is unknown.

    Example:
        >>> from data_tools.store import StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     for number in range(3):
        ...         writer.append(f"clip{number}", {"audio": np.full(2, number)})
        >>> store = Store("store")
        >>> store.read("audio", [2, 0]).tolist()
        [[2.0, 2.0], [0.0, 0.0]]
        >>> store.clip(2)
        {'id': 'clip2'}
    """

    def __init__(self, root: str | os.PathLike[str], verify: str = "once") -> None:
        check_choice("verify", verify, VERIFY)
        self.root = Path(root)
        self.verify = verify
        self.schema = read_schema(self.root)
        self.fields: dict[str, Field] = self.schema["fields"]
        self.categories: list[str] = self.schema["categories"]
        sizes = [shard["rows"] for shard in self.schema["shards"]]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._open_state()

    def _open_state(self) -> None:
        self._files: collections.OrderedDict[tuple[int, str], rows.RowFile] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()
        self._rows: tuple[int, list[dict[str, Any]]] = (-1, [])
        self._sums: dict[int, dict[str, np.ndarray]] = {}
        self._seen = {name: np.zeros(len(self), bool) for name in self.fields}

    def __getstate__(self) -> dict[str, Any]:
        # Open files cannot be pickled: each process opens its own.
        kept = ("root", "verify", "schema", "fields", "categories", "_starts")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open_state()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(
        self,
        field: str,
        numbers: Sequence[int] | np.ndarray,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Reads rows of one field in the given order.

        Args:
            field: name of the field.
            numbers: row numbers.
            out: array (rows, ...) to fill, of the stored dtype, or of float32 where float16 is
                stored; new memory and the stored dtype if None.

        Returns:
            Array (rows, ...).

        Raises:
            ValueError: if the field or a row does not exist, `out` does not fit, or a stored row is
                damaged.
        """
        check_choice("field", field, tuple(self.fields))
        numbers = np.asarray(numbers, np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(
                f"`numbers` must be rows from 0 to {len(self) - 1}. "
                f"Received: {numbers.min()} to {numbers.max()}"
            )
        spec = self.fields[field]
        shape = (len(numbers), *spec.shape)
        if out is None:
            out = np.empty(shape, spec.stored)
        widened = out.dtype == np.float32 and spec.dtype == "float16"
        if out.shape != shape or not (widened or out.dtype == spec.stored):
            raise ValueError(
                f"`out` must be {spec.dtype}, or float32 for float16, of shape {shape}. "
                f"Received: {out.dtype} of shape {out.shape}"
            )
        shards = np.searchsorted(self._starts, numbers, "right") - 1
        checked = self.verify == "never" or (
            self.verify == "once" and bool(self._seen[field][numbers].all())
        )
        at_once = len(numbers) if checked and not widened else PIECE_BYTES // spec.num_bytes
        shard, file = -1, None
        for start, end in _runs(numbers, shards, max(1, at_once)):
            if file is None or shards[start] != shard:
                shard = int(shards[start])
                file = self._file(shard, field)
            piece = out[start:end]
            target = np.empty(piece.shape, spec.stored) if widened else piece
            first = int(numbers[start] - self._starts[shard])
            file.read_into(first, target)
            if not checked:
                self._verify(field, int(numbers[start]), first, shard, target)
            if widened:
                widen(target, piece)
        return out

    def _verify(self, field: str, number: int, first: int, shard: int, target: np.ndarray) -> None:
        known = self._checksums(shard)[field]
        for position, row in enumerate(target):
            if rows.checksum(row) != known[first + position]:
                raise ValueError(
                    f"{shard_path(self.root, shard) / f'{field}.npy'} must hold what was written; "
                    f"row {first + position} (clip {self.clip(number + position)['id']!r}) does "
                    "not match its checksum"
                )
        self._seen[field][number : number + len(target)] = True

    def _file(self, shard: int, field: str) -> rows.RowFile:
        key = (shard, field)
        with self._lock:
            if key not in self._files:
                file = rows.RowFile(
                    shard_path(self.root, shard) / f"{field}.npy", self.fields[field]
                )
                expected = self.schema["shards"][shard]["rows"]
                if file.num_rows != expected:
                    file.close()
                    raise ValueError(
                        f"{file.path} must hold {expected} rows. Received: {file.num_rows}"
                    )
                self._files[key] = file
                # A thread may still read the oldest file, which is closed with its last reference.
                if len(self._files) > MAX_OPEN_FILES:
                    self._files.popitem(last=False)
            self._files.move_to_end(key)
            return self._files[key]

    def _checksums(self, shard: int) -> dict[str, np.ndarray]:
        if shard not in self._sums:
            found = self.index(shard)["checksums"]
            self._sums[shard] = {name: np.array(sums, np.uint32) for name, sums in found.items()}
        return self._sums[shard]

    def index(self, shard: int) -> dict[str, Any]:
        """Reads the index of a shard: `rows`, `checksums` and `failures`.

        Raises:
            ValueError: if the file does not match the checksum in the schema.
        """
        path = shard_path(self.root, shard) / INDEX
        if not path.is_file():
            raise ValueError(f"{path} must exist; it is missing")
        content = path.read_bytes()
        digest, known = hashlib.sha256(content).hexdigest(), self.schema["shards"][shard]["sha256"]
        if digest != known:
            raise ValueError(f"{path} must have sha256 {known}. Received: {digest}")
        with reading(path, "hold the rows, checksums and failures of a shard"):
            found = json.loads(content)
            count = self.schema["shards"][shard]["rows"]
            sums = [np.array(found["checksums"][name], np.uint32) for name in self.fields]
            whole = all(array.shape == (count,) for array in sums) and len(found["rows"]) == count
            if not whole or not all(isinstance(clip["id"], str) for clip in found["rows"]):
                raise ValueError(f"{path} must describe {count} rows. Received others")
            for clip in found["rows"]:
                if not isinstance(clip.get("split") or "", str):
                    raise ValueError(f"{path} must name splits. Received: {clip['split']!r}")
            found["checksums"] = {name: found["checksums"][name] for name in self.fields}
            return found

    def clip(self, number: int) -> dict[str, Any]:
        """Returns the metadata of a row: its `id`, and `label`, `split` and others if known."""
        shard = int(np.searchsorted(self._starts, number, "right")) - 1
        if self._rows[0] != shard:
            self._rows = (shard, self.index(shard)["rows"])
        return self._rows[1][number - int(self._starts[shard])]

    def clips(self) -> Iterator[dict[str, Any]]:
        """Iterates over the metadata of all rows."""
        for shard in range(len(self.schema["shards"])):
            yield from self.index(shard)["rows"]

    @functools.cached_property
    def _splits(self) -> list[str | None]:
        """Split of each row, None where none is known."""
        return [clip.get("split") for clip in self.clips()]

    def split_names(self) -> list[str]:
        """Returns the names of the splits, in alphabetical order; none if no row has a split."""
        return sorted({name for name in self._splits if name})

    def rows_of_split(self, split: str) -> np.ndarray:
        """Returns the row numbers of a split, (rows,) int64.

        Raises:
            ValueError: if no row belongs to that split.
        """
        found = np.flatnonzero([name == split for name in self._splits])
        if not len(found):
            raise ValueError(
                f"`split` must be one that {self.root} has, {shorten(self.split_names())}. "
                f"Received: {split!r}"
            )
        return found.astype(np.int64)

    def check(self) -> int:
        """Compares all rows with their checksums.

        Returns:
            The number of rows.

        Raises:
            ValueError: if a file is damaged; the message names it and the row.
        """
        whole = Store(self.root, verify="always")
        for name in self.fields:
            for start in range(0, len(self), 16):
                whole.read(name, np.arange(start, min(start + 16, len(self))))
        whole.close()
        return len(self)

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()
