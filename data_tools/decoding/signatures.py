"""Determines the kind of a media file by its name and its first bytes, which must agree."""

from __future__ import annotations

from pathlib import Path

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
        DecodeError: if the file is missing, empty, of an unknown kind, or not what its name says.

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
        raise DecodeError("does not exist")
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise DecodeError("is empty")
    found = sniff(head)
    if found != expected:
        raise DecodeError(f"is named {suffix} but holds {found or 'something else'}")
    return expected
