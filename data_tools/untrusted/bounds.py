"""A stream with a limit of size, and short descriptions of values."""

from __future__ import annotations

from typing import Any, BinaryIO

MAX_BYTES = 2**26
"""64 MiB, thirty times the largest published clip (10 x 7 x 7 x 512 in double precision)."""


class BoundedStream:
    """Limits the bytes that can be read from a stream; raises an error before it reads more.

    Args:
        stream: a binary stream.
        max_bytes: how many bytes may be read in all.
        name: its name in error messages.

    Example:
        >>> import io
        >>> stream = BoundedStream(io.BytesIO(bytes(100)), max_bytes=8, name="a.pkl")
        >>> len(stream.read(6))
        6
        >>> stream.read(6)
        Traceback (most recent call last):
        ...
        ValueError: a.pkl must hold at most 8 bytes. Received one that asks for 12
    """

    def __init__(self, stream: BinaryIO, max_bytes: int, name: str) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._name = name
        self._left = max_bytes

    def _require(self, size: int) -> None:
        if size > self._left:
            raise ValueError(
                f"{self._name} must hold at most {self._max_bytes} bytes. Received one that asks "
                f"for {self._max_bytes - self._left + size}"
            )

    def read(self, size: int) -> bytes:
        """Reads up to `size` bytes, fewer at the end."""
        self._require(size)
        # A raw stream may return less than requested before its end.
        parts = []
        while size > 0 and (part := self._stream.read(size)):
            parts.append(part)
            size -= len(part)
            self._left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self) -> bytes:
        """Reads a line with its line end."""
        line = self._stream.readline(self._left + 1)
        self._require(len(line))
        self._left -= len(line)
        return line

    def at_end(self) -> bool:
        """Whether the stream is at its end; consumes a byte if it is not."""
        return not self._stream.read(1)


def describe(value: Any) -> str:
    """Describes a value briefly, however large it is.

    Args:
        value: anything.

    Returns:
        The words.

    Example:
        >>> describe(("a" * 1000, 2)), describe("b" * 1000)
        ('a tuple of 2', "'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb...'")
    """
    if isinstance(value, str | bytes):
        shown = repr(value[:40])
        return shown if len(value) <= 40 else f"{shown[:-1]}...{shown[-1]}"
    if isinstance(value, bool | None):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= 64 else "a huge integer"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"a {type(value).__name__.strip('_')}"
