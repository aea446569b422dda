"""Determines the kind of a media file by its name and its first bytes, which must agree."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from data_tools.io.files import machine_fault, shorten

SOUNDS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "Ogg", ".oga": "Ogg", ".mp3": "MP3"}
VIDEOS = {
    ".mp4": "MP4",
    ".m4v": "MP4",
    ".m4a": "MP4",
    ".mov": "MP4",
    ".avi": "AVI",
    ".mkv": "Matroska",
    ".webm": "Matroska",
}
PICTURES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".webp": "WebP",
}
CAPTIONS = {".txt": "text"}
HEAD_BYTES = 16


class DecodeError(ValueError):
    """Raised for a file that cannot be used; the message gives the reason without the file's name.

    Example:
        >>> str(DecodeError("is empty"))
        'is empty'
    """


class MissingFileError(DecodeError):
    """Raised for a file that is not there.

    Example:
        >>> str(MissingFileError())
        'does not exist'
    """

    def __init__(self) -> None:
        super().__init__("does not exist")


@contextlib.contextmanager
def decoding(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever a decoder raises on a damaged file into a DecodeError without the file's name.

    Args:
        path: the file.

    Raises:
        DecodeError: for any error inside the block but missing packages and faults of the machine,
            such as lost permissions, which pass as they are.

    Example:
        >>> with decoding("a.mp4"):
        ...     None.codec
        Traceback (most recent call last):
        ...
        data_tools.decoding.signatures.DecodeError: cannot be decoded: AttributeError: ...
    """
    try:
        yield
    except (DecodeError, ImportError):
        raise
    except Exception as error:
        # FFmpeg calls damage of some files an input/output error.
        if not type(error).__module__.startswith("av.") and machine_fault(error) is not None:
            raise
        # Libraries begin their messages with the path.
        named = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
        reason = str(named).replace(os.fspath(path), "the file").strip().rstrip(".")
        known = (OSError, RuntimeError, ValueError, SyntaxError)
        kind = "" if isinstance(error, known) and reason else f"{type(error).__name__}: "
        text = shorten(f"{kind}{reason}").removesuffix(": ").removesuffix(":")
        raise DecodeError(f"cannot be decoded: {text}") from error


def sniff(head: bytes) -> str | None:
    """Determines the kind of content by its first bytes.

    Args:
        head: the first 16 bytes.

    Returns:
        One of the kinds above, or None.

    Example:
        >>> sniff(b"RIFF....WAVEfmt "), sniff(b"hello")
        ('WAV', None)
    """
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"WAVE": "WAV", b"AVI ": "AVI", b"WEBP": "WebP"}.get(head[8:12])
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "MP4"
    starts = {
        b"fLaC": "FLAC",
        b"OggS": "Ogg",
        b"ID3": "MP3",
        b"\x1aE\xdf\xa3": "Matroska",
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG\r\n\x1a\n": "PNG",
        b"BM": "BMP",
    }
    for start, kind in starts.items():
        if head.startswith(start):
            return kind
    # A frame of MPEG audio begins with eleven ones, then a version and a layer that are not 1.
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "MP3"
    return None


def kind_of(path: Path) -> str:
    """Determines the kind of a file and checks that name and content agree.

    Args:
        path: the file.

    Returns:
        The kind.

    Raises:
        DecodeError: if the file is missing or empty, its kind is unknown, or its name does not
            match its content.

    Example:
        >>> _ = Path("a.wav").write_bytes(b"fLaC" + bytes(20))
        >>> kind_of(Path("a.wav"))
        Traceback (most recent call last):
        ...
        data_tools.decoding.signatures.DecodeError: is named .wav but holds FLAC
    """
    suffix = path.suffix.lower()
    expected = (SOUNDS | VIDEOS | PICTURES).get(suffix)
    if expected is None:
        raise DecodeError(f"has the extension {suffix!r}, which is not known")
    if not path.is_file():
        raise MissingFileError
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise DecodeError("is empty")
    found = sniff(head)
    if found != expected:
        raise DecodeError(f"is named {suffix} but holds {found or 'something else'}")
    return expected
