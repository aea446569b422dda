"""Reads the single member of a zip archive as a stream of bounded size and compression ratio."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from data_tools.untrusted.bounds import MAX_BYTES, describe

MAX_RATIO = 100.0
"""Largest compression ratio. Feature maps reach about ten, a bomb of zeros a thousand."""
SMALL = 2**20
"""Bytes up to which the ratio does not matter: silence and black frames pack well."""
PIECE = 2**17
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
_MISREAD = (struct.error, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError)
"""Errors that `zipfile` also raises for invalid or unsupported headers."""


class _InPieces(io.FileIO):
    """A file that returns at most `PIECE` bytes per read.

    `zipfile` reads the list of members at once; with this limit a longer one counts as damaged.
    """

    def read(self, size: int | None = -1) -> bytes:
        return super().read(PIECE if size is None or size < 0 else min(size, PIECE)) or b""


class _Member:
    """A member as a stream; `zipfile` itself unpacks all of it when asked for all."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._size = size

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(self._size if size < 0 else min(size, self._size))

    def readline(self, size: int = -1) -> bytes:
        return self._stream.readline(self._size if size < 0 else min(size, self._size))


def regular_file(path: str | os.PathLike[str]) -> Path:
    """Checks that a path is a regular file that is not empty.

    Args:
        path: the file; a link is followed.

    Returns:
        The path.

    Raises:
        FileNotFoundError: if there is nothing under the path.
        ValueError: if it is a folder or a device, or the file is empty.

    Example:
        >>> regular_file("nowhere.zip")
        Traceback (most recent call last):
        ...
        FileNotFoundError: nowhere.zip does not exist
    """
    path = Path(path)
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{path} does not exist") from error
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} must be a file. Received a folder or a device")
    if found.st_size == 0:
        raise ValueError(f"{path} must hold something. Received a file of 0 bytes")
    return path


@contextlib.contextmanager
def open_zip_member(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES, max_ratio: float = MAX_RATIO
) -> Iterator[tuple[str, BinaryIO]]:
    """Opens the single member of a zip archive without unpacking it to disk.

    Args:
        path: the archive.
        max_bytes: size that the member may have unpacked.
        max_ratio: largest compression ratio, for files that unpack to more than a mebibyte.

    Yields:
        Name of the member and a stream of its bytes, which ends with an error if the checksum is
        wrong.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the archive is damaged, holds more or less than one plain file, a name that
            leads elsewhere, a link, or a member that is too large.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with zipfile.ZipFile(folder + "/a.zip", "w") as archive:
        ...         archive.writestr("a.pkl", b"content")
        ...     with open_zip_member(folder + "/a.zip") as (name, stream):
        ...         name, stream.read()
        ('a.pkl', b'content')
    """
    path = regular_file(path)
    with _InPieces(path) as file, contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            member = _single_member(path, archive.infolist())
            _check_size(path, member, max_bytes, max_ratio)
            stream = _Member(stack.enter_context(archive.open(member)), member.file_size)
        except (*_DAMAGE, *_MISREAD) as error:
            if str(error).startswith(str(path)):
                raise
            raise ValueError(
                f"{path} must be a whole zip archive; reading it gave: {error}"
            ) from error
        try:
            yield member.filename, stream  # type: ignore[misc]
        except _DAMAGE as error:
            raise ValueError(
                f"{path} must be a whole zip archive; reading it gave: {error}"
            ) from error


def read_zip_member(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES, max_ratio: float = MAX_RATIO
) -> bytes:
    """Reads the content of the single member of a zip archive.

    Args:
        path: the archive.
        max_bytes: size that the member may have unpacked.
        max_ratio: largest compression ratio, for files that unpack to more than a mebibyte.

    Returns:
        The bytes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if as for `open_zip_member`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with zipfile.ZipFile(folder + "/a.zip", "w") as archive:
        ...         archive.writestr("../a.pkl", b"content")
        ...     read_zip_member(folder + "/a.zip")
        Traceback (most recent call last):
        ...
        ValueError: ...a.zip must hold a member that stays in its folder. Received: '../a.pkl'
    """
    with open_zip_member(path, max_bytes, max_ratio) as (_, stream):
        return stream.read()


def _single_member(path: Path, members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    if len(members) != 1:
        names = ", ".join(describe(member.filename) for member in members[:3])
        raise ValueError(f"{path} must hold one file. Received {len(members)}: {names}")
    member = members[0]
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0] == "/" or ":" in parts[0]:
        raise ValueError(
            f"{path} must hold a member that stays in its folder. Received: {describe(name)}"
        )
    mode = member.external_attr >> 16
    if member.is_dir() or (stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
        raise ValueError(
            f"{path} must hold a plain file, no folder and no link. Received: {describe(name)}"
        )
    if member.flag_bits & 1 or member.compress_type not in _METHODS:
        raise ValueError(
            f"{path} must be stored or deflated, and not encrypted. Received method "
            f"{member.compress_type}, flags {member.flag_bits}"
        )
    return member


def _check_size(path: Path, member: zipfile.ZipInfo, max_bytes: int, max_ratio: float) -> None:
    if member.file_size > max_bytes:
        raise ValueError(
            f"{path} must unpack to at most {max_bytes} bytes. Received: {member.file_size}"
        )
    ratio = member.file_size / max(member.compress_size, 1)
    if member.file_size > SMALL and ratio > max_ratio:
        raise ValueError(
            f"{path} must unpack to at most {max_ratio:g} times its size. Received: {ratio:.0f}"
        )
