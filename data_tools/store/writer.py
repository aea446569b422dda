"""Writes a store row by row."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from data_tools.io.files import atomic_folder, check_replaceable
from data_tools.store.schema import (
    FAILURES,
    SCHEMA,
    Field,
    check_name,
    default_shard_rows,
    shard_path,
    write_schema,
)
from data_tools.store.shard import ShardWriter


class StoreWriter:
    """Writes a store; the folder appears if the `with` block succeeds, or not at all.

    Args:
        root: folder to write.
        fields: name to field.
        shard_rows: rows of a shard; about 256 MB if None.
        categories: class names in the order of the label columns.
        origin: what the rows were made from, kept in the schema.
        overwrite: replace a store that is there.

    Raises:
        ValueError: if the folder exists, or is no store that can be replaced, or an argument is
            wrong.

    Example:
        >>> with StoreWriter("store", {"audio": Field((10, 128))}, shard_rows=2) as writer:
        ...     for number in range(5):
        ...         writer.append(f"clip{number}", {"audio": np.zeros((10, 128))}, split="train")
        >>> sorted(path.name for path in Path("store", "shards").iterdir())
        ['00000', '00001', '00002']
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        fields: Mapping[str, Field],
        shard_rows: int | None = None,
        categories: Sequence[str] = (),
        origin: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if not fields:
            raise ValueError("`fields` must name at least one field. Received none")
        if shard_rows is not None and shard_rows < 1:
            raise ValueError(f"`shard_rows` must be at least 1. Received: {shard_rows}")
        if Path(root).exists() and not overwrite:
            raise ValueError(
                f"`root` must be a new folder; {root} exists. Choose another folder, or overwrite "
                "this one."
            )
        check_replaceable("root", root, SCHEMA)
        self.root = Path(root)
        self.fields = {check_name(name): field for name, field in fields.items()}
        self.shard_rows = shard_rows or default_shard_rows(fields)
        self.categories, self.origin = list(categories), dict(origin or {})
        self._num_shards = 0
        self._shard: ShardWriter | None = None
        self._failures: list[str] = []

    def __enter__(self) -> StoreWriter:
        self._stack = contextlib.ExitStack()
        self._folder = self._stack.enter_context(atomic_folder(self.root))
        return self

    def append(self, id: str, arrays: Mapping[str, np.ndarray], **known: Any) -> None:
        """Adds a row.

        Args:
            id: name of the clip.
            arrays: name to array; they are rounded to the stored precision.
            known: what else the index is to keep of the row, such as `split` or `label`.

        Raises:
            ValueError: if an array has another shape, or a value that is not finite once rounded.
        """
        self._open_shard().write(len(self._clips), arrays)
        self._add({"id": id, **known})

    def fail(self, id: str, reason: str) -> None:
        """Records a clip without a row in the index and in `failures.jsonl`.

        Args:
            id: name of the clip.
            reason: why.
        """
        self._open_shard().fail(len(self._clips), [{"reason": reason}])
        self._failures.append(json.dumps({"id": id, "reason": reason}) + "\n")
        self._add({"id": id})

    def _open_shard(self) -> ShardWriter:
        if self._shard is None:
            self._clips: list[dict[str, Any]] = []
            path = shard_path(self._folder, self._num_shards)
            self._shard = ShardWriter(path, self.fields, self._clips, self.shard_rows)
        return self._shard

    def _add(self, clip: dict[str, Any]) -> None:
        self._clips.append(clip)
        if len(self._clips) == self.shard_rows:
            self._finish_shard()

    def _finish_shard(self) -> None:
        if self._shard is not None:
            self._shard.finish()
            self._shard = None
            self._num_shards += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error the stack removes the folder.
        with self._stack:
            if error is not None:
                raise error
            self._finish_shard()
            if self._failures:
                lines = "".join(self._failures)
                (self._folder / FAILURES).write_text(lines, encoding="utf-8")
            write_schema(self._folder, self.fields, self._num_shards, self.categories, self.origin)
