"""The schema of a store: its fields, shards and origin, in a JSON file that is written last."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.feature_folder import SCHEMA
from data_tools.io.files import (
    atomic_file,
    is_sha256,
    read_record,
    read_record_lines,
    reading,
    sha256_file,
)

FORMAT = "keras-cmg store 1"
INDEX, SHARDS = "index.json", "shards"
FAILURES = "failures.jsonl"
FAILURE = ("id", "modality", "file", "reason")
"""What a line of the failures of an extraction has."""
SHARD_BYTES = 2**28
"""Default size of a shard in bytes: few files, yet many units of work."""
MAX_ROWS, MAX_ROW_BYTES = 2**36, 2**31
"""Largest store, and largest row of a field."""
DTYPES = ("float16", "float32", "uint8", "int32")


@dataclasses.dataclass(frozen=True)
class Field:
    """Shape and dtype of one array of a row.

    Args:
        shape: shape of one row, without the row axis.
        dtype: one of "float16", "float32", "uint8" and "int32".

    Raises:
        ValueError: if the dtype is unknown, or a size is not an integer of at least 1.

    Example:
        >>> Field((10, 7, 7, 512)).num_bytes
        501760
    """

    shape: tuple[int, ...]
    dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"`dtype` must be one of {DTYPES}. Received: {self.dtype!r}")
        if any(type(size) is not int or size < 1 for size in self.shape) or len(self.shape) > 30:
            raise ValueError(
                f"`shape` must hold up to 30 whole numbers of at least 1. Received: {self.shape}"
            )
        if math.prod(self.shape) > MAX_ROW_BYTES:
            raise ValueError(
                f"`shape` must be of at most {MAX_ROW_BYTES} numbers. Received: {self.shape}"
            )

    @property
    def stored(self) -> np.dtype:
        """The dtype on disk, little-endian everywhere."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def num_bytes(self) -> int:
        """Number of bytes of one row."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.stored.itemsize


def check_name(name: str) -> str:
    """Checks the name of a field, which is also the name of its files.

    Args:
        name: the name.

    Returns:
        The same.

    Raises:
        ValueError: if it is not a plain word.

    Example:
        >>> check_name("../audio")
        Traceback (most recent call last):
        ...
        ValueError: a field must have a plain word as its name. Received: '../audio'
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"a field must have a plain word as its name. Received: {name!r}")
    return name


def default_shard_rows(fields: Mapping[str, Field]) -> int:
    """Computes the number of rows of a shard of about `SHARD_BYTES`.

    Args:
        fields: name to field.

    Returns:
        At least 1, at most 65,536.

    Example:
        >>> default_shard_rows({"video": Field((10, 7, 7, 512))})
        534
    """
    row_bytes = sum(field.num_bytes for field in fields.values())
    return max(1, min(SHARD_BYTES // max(row_bytes, 1), 65_536))


def check_row(fields: Mapping[str, Field], arrays: Mapping[str, np.ndarray]) -> None:
    """Raises a ValueError unless a row has exactly the fields, with finite numbers.

    Args:
        fields: name to field.
        arrays: name to array of one row.

    Raises:
        ValueError: if a field is missing or not known, has another shape, or a value that is not
            finite once it is in the stored precision.

    Example:
        >>> check_row({"audio": Field((2,))}, {"audio": np.array([1.0, 1e6])})
        Traceback (most recent call last):
        ...
        ValueError: `audio` must hold finite numbers in float16. Received: 1e+06
    """
    if set(arrays) != set(fields):
        raise ValueError(f"a row must hold {sorted(fields)}. Received: {sorted(arrays)}")
    for name, field in fields.items():
        array = np.asarray(arrays[name])
        if array.shape != field.shape:
            raise ValueError(f"`{name}` must have shape {field.shape}. Received: {array.shape}")
        if field.dtype.startswith("float"):
            with np.errstate(over="ignore"):
                finite = np.isfinite(array.astype(field.stored, copy=False))
            if not finite.all():
                raise ValueError(
                    f"`{name}` must hold finite numbers in {field.dtype}. "
                    f"Received: {array[~finite][0]:g}"
                )


def shard_path(root: Path, number: int) -> Path:
    """Returns the folder of a finished shard.

    Args:
        root: the store.
        number: number of the shard, from 0.

    Returns:
        The path.

    Example:
        >>> shard_path(Path("store"), 3).as_posix()
        'store/shards/00003'
    """
    return root / SHARDS / f"{number:05d}"


def write_schema(
    root: Path,
    fields: Mapping[str, Field],
    num_shards: int,
    categories: Sequence[str] = (),
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Writes the schema of finished shards, which completes the store.

    Args:
        root: the store.
        fields: name to field.
        num_shards: how many shards there are.
        categories: class names in the order of the label columns.
        origin: what the store was made from.
    """
    shards: list[dict[str, Any]] = []
    for number in range(num_shards):
        index = shard_path(root, number) / INDEX
        rows = len(read_record(index, {"rows": list})["rows"])
        shards.append({"rows": rows, "sha256": sha256_file(index)})
    content = {
        "format": FORMAT,
        "fields": {
            name: {"shape": list(field.shape), "dtype": field.dtype}
            for name, field in fields.items()
        },
        "num_rows": sum(shard["rows"] for shard in shards),
        "categories": list(categories),
        "origin": dict(origin or {}),
        "shards": shards,
    }
    with atomic_file(root / SCHEMA) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_failures(root: Path) -> list[dict[str, str]]:
    """Reads which clips of an extraction failed.

    Args:
        root: the store.

    Returns:
        Dict of `id`, `modality`, `file` and `reason` of each failure.

    Raises:
        FileNotFoundError: if there is no file of failures.
        ValueError: if it is damaged.

    Example:
        >>> line = '{"id": "a", "modality": "text", "file": "", "reason": "has no caption"}'
        >>> _ = Path("failures.jsonl").write_text(line)
        >>> [one["reason"] for one in read_failures(Path("."))]
        ['has no caption']
    """
    return read_record_lines(root / FAILURES, dict.fromkeys(FAILURE, str))


def read_schema(root: Path) -> dict[str, Any]:
    """Reads and checks a schema; `fields` come as `Field`s.

    Args:
        root: the store.

    Returns:
        The content of the file.

    Raises:
        FileNotFoundError: if there is none: no store, or one that is not finished.
        ValueError: if the file is not the schema of a store of this format.
    """
    path = root / SCHEMA
    if not path.is_file():
        reason = "an unfinished one lacks it" if (root / SHARDS).is_dir() else "there is no store"
        raise FileNotFoundError(f"a store must hold {SCHEMA}; {path} does not exist: {reason}")
    content = read_record(path, {})
    with reading(path, "be a whole schema"):
        if (found := content.get("format")) != FORMAT:
            raise ValueError(f"{path} must have format {FORMAT!r}. Received: {found!r}")
        content["fields"] = {
            check_name(name): Field(tuple(field["shape"]), field["dtype"])
            for name, field in content["fields"].items()
        }
        rows = [int(shard["rows"]) for shard in content["shards"]]
        if min(rows, default=0) < 0 or sum(rows) > MAX_ROWS:
            raise ValueError(f"{path} must have 0 to {MAX_ROWS} rows. Received others")
        if sum(rows) != content["num_rows"]:
            raise ValueError(f"{path} must count the rows of its shards; {sum(rows)} do not match")
        named = isinstance(content["categories"], list) and isinstance(content["origin"], dict)
        if not named or not all(isinstance(name, str) for name in content["categories"]):
            raise ValueError(f"{path} must name classes and origin. Received others")
        if not all(is_sha256(shard["sha256"]) for shard in content["shards"]):
            raise ValueError(f"{path} must have the SHA-256 of each shard. Received others")
    return content
