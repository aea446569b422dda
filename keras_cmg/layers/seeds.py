"""Seeds of the parts of a layer or model."""

from __future__ import annotations

import zlib


def derive_seed(part: str, seed: int | None) -> int | None:
    """Derives the seed of a part from the seed of the whole.

    Args:
        part: str, name of the part.
        seed: int, seed of the whole, or None.

    Returns:
        int in [0, 2^31), or None if `seed` is None.

    Example:

    >>> derive_seed("audio", 0) == derive_seed("video", 0), derive_seed("audio", None)
    (False, None)
    """
    return None if seed is None else zlib.crc32(f"{part} {seed}".encode()) >> 1
