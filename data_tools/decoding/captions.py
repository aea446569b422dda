"""Decodes captions from text files."""

from __future__ import annotations

import os
from pathlib import Path

from data_tools.decoding.signatures import DecodeError, MissingFileError

MAX_BYTES = 2**20
"""Longest caption file that is read."""


def decode_caption(path: str | os.PathLike[str]) -> str:
    """Reads the text of a file and joins its lines by spaces.

    Args:
        path: a UTF-8 text file.

    Returns:
        The caption.

    Raises:
        DecodeError: if the file is missing, empty, too long, or not UTF-8 text.

    Example:
        >>> _ = Path("a.txt").write_text("a dog\\nbarks\\n")
        >>> decode_caption("a.txt")
        'a dog barks'
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DecodeError(f"has {size} bytes, more than a caption can have ({MAX_BYTES})")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecodeError(f"must be UTF-8 text; byte {error.start} is not") from error
    if "\0" in text:
        raise DecodeError("must be text; it holds zero bytes")
    caption = " ".join(text.split())
    if not caption:
        raise DecodeError("is empty")
    return caption
