"""Files and folders that appear complete or not at all, checksums, and readers of JSON and `.npz`.

Imports neither Keras nor an engine, so that it can be loaded without them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from keras_cmg.faults import damaged, machine_fault, reading

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

MAX_JSON_BYTES = 2**28
MAX_RATIO = 100.0
"""Largest ratio of what an archive unpacks to and its own size."""
FREE_BYTES = 2**26
"""Bytes to which an archive may unpack at any ratio."""
_EXCHANGE = 2
"""Flag of Linux' renameat2: swap two names."""


@contextlib.contextmanager
def folder_lock(folder: str | os.PathLike[str], shared: bool = False) -> Iterator[None]:
    """Holds a lock on a folder; a process that is killed releases it, and no file is left.

    File systems without such locks, and Windows, give none: writers then rely on renaming alone.

    Args:
        folder: the folder.
        shared: bool, whether others may hold the lock too, as readers.

    Example:

    >>> with folder_lock("."):
    ...     pass
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def scratch_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, and removes it at the end.

    Folders that killed processes left for the same `path` are removed first; a lock tells them
    from those of running ones.

    Args:
        path: what is to be written.

    Raises:
        OSError: if a write inside the block failed for want of space or permission, whatever the
            library that wrote raised.

    Example:

    >>> with scratch_folder("a.txt") as scratch:
    ...     scratch.name[:7], scratch.suffix
    ('.a.txt.', '.part')
    """
    path = Path(path).absolute()
    remove_abandoned(path.parent, f".{path.name}.")
    scratch, handle = _locked_scratch(path)
    try:
        yield scratch
    except Exception as error:
        fault = machine_fault(error)
        if fault is None or (isinstance(error, OSError) and error.filename is not None):
            raise
        raise OSError(fault.errno, fault.strerror, str(path)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _locked_scratch(path: Path) -> tuple[Path, int | None]:
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        if fcntl is None:
            return scratch, None
        try:
            handle = os.open(scratch, os.O_RDONLY)
        except FileNotFoundError:
            continue  # taken for abandoned before it was locked
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if scratch.is_dir():
            return scratch, handle
        os.close(handle)


def remove_abandoned(folder: str | os.PathLike[str], prefix: str) -> None:
    """Removes the temporary folders that killed processes left.

    Args:
        folder: where they lie.
        prefix: str, with which their names begin; they end in `.part`.

    Example:

    >>> from pathlib import Path
    >>> Path(".a.txt.0123.part").mkdir()
    >>> remove_abandoned(".", ".a.txt.")
    >>> Path(".a.txt.0123.part").exists()
    False
    """
    if fcntl is None or not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(prefix) and e.name.endswith(".part")]
    for name in names:
        found = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            handle = os.open(found, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found, ignore_errors=True)
            finally:
                os.close(handle)


def check_writable(path: str | os.PathLike[str], argument: str) -> None:
    """Checks that a file or folder can be written, before work that ends there.

    Args:
        path: the file or folder, which need not exist.
        argument: name of the argument that names it, for the error message.

    Raises:
        OSError: if the disk is full.
        ValueError: if it cannot be written, with the reason.

    Example:

    >>> check_writable("runs/new", "--out")
    """
    place = Path(path)
    if place.is_file():
        place = place.parent
    while not os.path.lexists(place):
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(f"cannot write {argument} {path}: {error.strerror}: {place}") from error


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path that is renamed to `path` if the block succeeds.

    Args:
        path: where the finished file goes; a file already there is replaced at the end.

    Raises:
        OSError: if it cannot be written.

    Example:

    >>> from pathlib import Path
    >>> with atomic_file("note.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [file.name for file in Path(".").iterdir()]
    ['note.txt']
    """
    path = Path(path)
    with scratch_folder(path) as scratch:
        temporary = scratch / path.name
        yield temporary
        os.replace(temporary, path)


def check_replaceable(argument: str, path: str | os.PathLike[str], *marks: str) -> None:
    """Raises a ValueError if overwriting a folder would delete anything but its own kind.

    Args:
        argument: name of the argument.
        path: folder that is going to be replaced.
        *marks: files, one of which is in every folder of its kind.

    Raises:
        ValueError: if it is a file, or holds other files only.

    Example:

    >>> Path("clips").mkdir()
    >>> Path("clips/a.wav").touch()
    >>> check_replaceable("out", "clips", "schema.json")
    Traceback (most recent call last):
        ...
    ValueError: `out` must be new, empty or a folder with schema.json to be overwritten; ...
    """
    place = Path(path)
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not any((place / mark).is_file() for mark in marks):
        raise ValueError(
            f"`{argument}` must be new, empty or a folder with {' or '.join(marks)} to be "
            f"overwritten; {place} is something else. Choose another folder."
        )


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[Path]:
    """Yields a temporary folder that is renamed to `path` if the block succeeds.

    Of several processes that write the same folder at once, the last replaces it as a whole.

    Args:
        path: where the finished folder goes.
        overwrite: bool, whether a folder that is already there is replaced, at the end.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is False.
        OSError: if it cannot be written.

    Example:

    >>> from pathlib import Path
    >>> with atomic_folder("features") as temporary:
    ...     _ = (temporary / "note.txt").write_text("whole")
    >>> [file.name for file in Path("features").iterdir()]
    ['note.txt']
    """
    path = Path(path).absolute()
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; choose another path, or overwrite it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path) as scratch:
        built = scratch / "new"
        built.mkdir()
        yield built
        _move_folder(built, path, scratch / "old", overwrite)


def _move_folder(built: Path, path: Path, old: Path, overwrite: bool) -> None:
    """Moves a folder to its place; what is there moves away in the same step, where possible."""
    if not path.exists():
        # Without the lock, which a folder that is written around this one may hold.
        try:
            os.rename(built, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    if overwrite and path.exists() and _exchanged(built, path):
        return
    with folder_lock(path.parent):
        if path.exists() and overwrite:
            if _exchanged(built, path):
                return
            os.replace(path, old)
        try:
            os.rename(built, path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not overwrite:
                raise FileExistsError(f"{path} was written by another process.") from error
            raise


@functools.cache
def _renameat2() -> Any:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the names of two folders could be swapped in one step."""
    function, here = _renameat2(), -100  # AT_FDCWD
    if function is None:
        return False
    return function(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0


def is_sha256(value: object) -> bool:
    """Returns whether a value is a SHA-256 checksum, as files of others name it.

    Args:
        value: the value.

    Example:

    >>> is_sha256("0" * 64), is_sha256("0" * 65), is_sha256(None)
    (True, False, False)
    """
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Computes the SHA-256 checksum of a file.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.

    Example:

    >>> from pathlib import Path
    >>> _ = Path("empty").write_bytes(b"")
    >>> sha256_file("empty")[:8]
    'e3b0c442'
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
        ValueError: if the file does not contain a JSON object, or is too large or nested too deep.

    Example:

    >>> from pathlib import Path
    >>> _ = Path("a.json").write_text('{"seed": 3}')
    >>> read_json("a.json")
    {'seed': 3}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with reading(path, "hold valid JSON"):
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise ValueError(f"{path} must hold at most {MAX_JSON_BYTES} bytes. Received: {size}")
        value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object. Received a {type(value).__name__}.")
    return value


def read_json_lines(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads a file with a JSON object per line.

    Args:
        path: the file.

    Returns:
        The objects.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line is not a JSON object; the message has its number.

    Example:

    >>> from pathlib import Path
    >>> _ = Path("a.jsonl").write_text('{"id": "a"}')
    >>> read_json_lines("a.jsonl")
    [{'id': 'a'}]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    found = []
    with reading(path, "hold lines of JSON"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            with reading(f"{path}, line {number},", "hold valid JSON"):
                value = json.loads(line)
            if not isinstance(value, dict):
                raise damaged(f"{path}, line {number},", "hold a JSON object", type(value).__name__)
            found.append(value)
    return found


def check_archive(path: str | os.PathLike[str], rule: str = "be a whole zip archive") -> None:
    """Checks that a zip archive does not unpack to many times its size.

    Args:
        path: the archive.
        rule: str, what the file must do, as in "must be a whole zip archive".

    Raises:
        ValueError: if it does, beyond 64 MiB, or is not a zip archive.

    Example:

    >>> np.savez("a.npz", a=np.ones(2))
    >>> check_archive("a.npz")
    """
    with reading(path, rule), open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        with zipfile.ZipFile(stream) as archive:
            total = sum(member.file_size for member in archive.infolist())
        if total > max(FREE_BYTES, MAX_RATIO * size):
            raise ValueError(
                f"{path} must unpack to at most {MAX_RATIO:g} times its size, {size} bytes. "
                f"Received: {total} bytes"
            )


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file, without unpickling.

    Args:
        path: the file.

    Returns:
        Name to array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no `.npz` file, is truncated, unpacks to many times its size, or
            has pickled objects.

    Example:

    >>> np.savez("numbers.npz", a=np.ones(2))
    >>> read_arrays("numbers.npz")["a"].shape
    (2,)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    rule = "be an .npz file of plain arrays"
    with reading(path, rule):
        check_archive(path, rule)
        # NumPy does not close a damaged file that it has opened itself.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
        for name, array in found.items():
            # Members that are no arrays come as bytes.
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{path} must hold arrays alone. Received a file {name!r}")
        return found
