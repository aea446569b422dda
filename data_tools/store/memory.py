"""Fast conversion of half to single precision, and reuse of memory of batches."""

from __future__ import annotations

import sys
import threading

import numpy as np

_KEEP = np.uint32(0x8FFFE000)
"""Sign and the shifted 15 bits, without the copies of the sign of a signed shift."""
_REBIAS = np.float32(2.0**112)
"""Exponents are biased by 15 in half and by 127 in single precision."""


def widen(half: np.ndarray, out: np.ndarray) -> None:
    """Converts finite float16 to float32 exactly, several times faster than NumPy's conversion.

    The bits go to their places in a float32, whose exponent is then too small by 112; a product
    mends that, and gives subnormal numbers their right value with it.

    Args:
        half: float16, little-endian, finite.
        out: float32 of the same shape, which receives the numbers.

    Example:
        >>> out = np.empty(3, "float32")
        >>> widen(np.array([0.5, -65504, 6e-8], "<f2"), out)
        >>> out
        array([ 5.0000000e-01, -6.5504000e+04,  5.9604645e-08], dtype=float32)
    """
    if sys.byteorder != "little":
        np.copyto(out, half)
        return
    bits = out.view(np.int32)
    np.left_shift(half.view(np.int16), 13, out=bits, dtype=np.int32)
    unsigned = out.view(np.uint32)
    np.bitwise_and(unsigned, _KEEP, out=unsigned)
    np.multiply(out, _REBIAS, out=out)


class BatchMemory:
    """A pool of arrays that are reused once nothing else refers to them.

    Allocating memory takes the system longer than reading a cached row. An array is free if only
    this pool refers to it: views of it, tensors that share it and pending transfers count.

    Args:
        limit: arrays kept for each shape; further batches get new memory.

    Example:
        >>> memory = BatchMemory()
        >>> one = memory.take((2, 3), "float32")
        >>> address = one.ctypes.data
        >>> del one
        >>> memory.take((2, 3), "float32").ctypes.data == address
        True
    """

    def __init__(self, limit: int = 4) -> None:
        self.limit = limit
        self._arrays: dict[tuple[tuple[int, ...], np.dtype], list[np.ndarray]] = {}
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: str | np.dtype) -> np.ndarray:
        """Returns an array with undefined content."""
        key = (shape, np.dtype(dtype))
        with self._lock:
            arrays = self._arrays.setdefault(key, [])
            for position in range(len(arrays)):
                # One reference from the list, one from the argument of the call.
                if hasattr(sys, "getrefcount") and sys.getrefcount(arrays[position]) <= 2:
                    return arrays[position]
            array = np.empty(*key)
            if len(arrays) < self.limit:
                arrays.append(array)
            return array

    def __reduce__(self) -> tuple[type[BatchMemory], tuple[int]]:
        return (BatchMemory, (self.limit,))
