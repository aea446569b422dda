"""Files and folders that are written atomically, and their checksums."""

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


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Computes the SHA-256 checksum of a file.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     sha256_file(file.name)[:8]
        'e3b0c442'
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path that is renamed to `path` if the block succeeds.

    Args:
        path: where the finished file goes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_file(Path(folder) / "note.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...     [file.name for file in Path(folder).iterdir()]
        ['note.txt']
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder that is renamed to `path` if the block succeeds.

    Args:
        path: where the finished folder goes; a folder already there is replaced at the end.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_folder(Path(folder) / "features") as temporary:
        ...         _ = (temporary / "note.txt").write_text("whole")
        ...     [file.name for file in Path(folder, "features").iterdir()]
        ['note.txt']
    """
    path = Path(path).absolute()
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


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a JSON object from a file.

    Args:
        path: the file.

    Returns:
        The object as a dict.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file does not hold a JSON object.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "a.json"
        ...     _ = file.write_text('{"seed": 3}')
        ...     read_json(file)
        {'seed': 3}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must name an existing JSON file. Received: {path}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must hold valid JSON; reading it gave: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object. Received a {type(value).__name__}")
    return value
