"""Folders that are written completely or not at all, checksums, and JSON files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, which is renamed to `path` if the block succeeds.

    Args:
        path: the folder to write.
        overwrite: bool, whether an existing folder is replaced.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is False.

    Example:

    >>> from pathlib import Path
    >>> with new_folder("served") as folder:
    ...     _ = (folder / "note.txt").write_text("whole")
    >>> [file.name for file in Path("served").iterdir()]
    ['note.txt']
    """
    path = Path(path).absolute()
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; choose another path, or overwrite it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        built, old = scratch / "new", scratch / "old"
        built.mkdir()
        yield built
        if path.exists():
            os.replace(path, old)
        os.replace(built, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sha256_of_array(array: Any) -> str:
    """Computes the SHA-256 of an array's shape, type and values.

    Args:
        array: array of numbers.

    Returns:
        64 hexadecimal digits.

    Example:

    >>> sha256_of_array(np.zeros(2, "float32")) == sha256_of_array(np.zeros((1, 2), "float32"))
    False
    """
    array = np.ascontiguousarray(array)
    head = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a JSON object from a file.

    Args:
        path: the file.

    Returns:
        The object as a dict.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file does not contain a JSON object.

    Example:

    >>> from pathlib import Path
    >>> _ = Path("a.json").write_text('{"seed": 3}')
    >>> read_json("a.json")
    {'seed': 3}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must hold valid JSON. Reading it gave: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object. Received a {type(value).__name__}.")
    return value
