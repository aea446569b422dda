"""Finite scalar quantisation: each channel is rounded to one of a few levels."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_cmg.backend.engine import matmul
from keras_cmg.types import Tensor

BOUNDS = ("tanh", "clip")
EXACT_IN_FLOAT = 2**24
"""Whole numbers below this are exact in float32."""

MARGIN = 1e-3
"""Widens the range of `tanh`, so that the outermost of an even number of levels can be reached."""


def quantize_scalars(
    x: Tensor, levels: Sequence[int], symmetric: bool = False, bound: str = "tanh"
) -> tuple[Tensor, Tensor]:
    """Bounds each channel and rounds it to its nearest level.

    For L levels and `h = (L - 1)(1 + 1e-3) / 2`, computes `round(h tanh(x + s) - o)`, with
    `o = 1/2` for even L and 0 for odd L, and `s = atanh(o / h)`, so that 0 stays 0; values are
    divided by `floor(L / 2)`. With `symmetric`, levels divide [-1, 1] evenly, which for even L
    leaves no level at 0: `2 floor((L - 1)(tanh(x) + 1) / 2 + 1/2) / (L - 1) - 1`.

    Args:
        x: float tensor `(..., channels)`.
        levels: ints, the number of levels of each channel.
        symmetric: bool, whether levels lie symmetrically about 0 for even numbers too.
        bound: `"tanh"`, or `"clip"` for inputs that already lie within [-1, 1].

    Returns:
        The quantised values `(..., channels)` in [-1, 1], with the gradient of the bounded value
        before rounding, and the level of each channel from 0 to L - 1, whole numbers in a float
        tensor of the same shape.

    Raises:
        ValueError: if `bound` is unknown, or `levels` are not one number of at least 2 per channel.

    Example:

    >>> values, digits = quantize_scalars(np.array([[-9.0, 0.1, 9.0]], "float32"), (5, 5, 5))
    >>> values[0].tolist(), digits[0].tolist()
    ([-1.0, 0.0, 1.0], [0.0, 2.0, 4.0])

    References:
        Mentzer et al. (2023), Finite Scalar Quantization: VQ-VAE Made Simple, appendix A.1;
        Parker et al. (2024), Scaling Transformers for Low-Bitrate High-Quality Speech Coding,
        section 3.2 (symmetric).
    """
    raw, width, offset = _before_rounding(x, levels, symmetric, bound)
    rounded = ops.stop_gradient(ops.floor(raw + 0.5) if symmetric else ops.round(raw))
    values = (raw + (rounded - ops.stop_gradient(raw))) / width
    return (values - 1.0, rounded) if symmetric else (values, rounded + offset)


def bounded_scalars(
    x: Tensor, levels: Sequence[int], symmetric: bool = False, bound: str = "tanh"
) -> Tensor:
    """Bounds each channel, as `quantize_scalars` does before it rounds.

    Args:
        x: float tensor `(..., channels)`.
        levels: ints, the number of levels of each channel.
        symmetric: bool, see `quantize_scalars`.
        bound: see `quantize_scalars`.

    Returns:
        Tensor of the same shape: the values that are rounded to the nearest of `scalar_values`.

    Raises:
        ValueError: as `quantize_scalars`.

    Example:

    >>> [round(float(v), 2) for v in bounded_scalars(np.array([-9.0, 0.1, 0.5]), (3, 3, 3))]
    [-1.0, 0.1, 0.46]
    """
    raw, width, _ = _before_rounding(x, levels, symmetric, bound)
    return raw / width - 1.0 if symmetric else raw / width


def _before_rounding(x, levels, symmetric, bound):
    """Bounded channels in units of the distance of levels, that unit, and the digit of 0."""
    x = ops.convert_to_tensor(x)
    sizes = np.asarray(levels)
    if bound not in BOUNDS:
        raise ValueError(f"`bound` must be one of {BOUNDS}. Received: {bound!r}")
    if sizes.shape != (x.shape[-1],) or sizes.min(initial=2) < 2:
        raise ValueError(
            f"`levels` must hold a number of at least 2 for each of {x.shape[-1]} channels. "
            f"Received: {tuple(levels)}"
        )
    if symmetric:
        half = ops.convert_to_tensor((sizes - 1) / 2, dtype=x.dtype)
        bounded = ops.tanh(x) if bound == "tanh" else ops.clip(x, -1.0, 1.0)
        return (bounded + 1.0) * half, half, 0.0
    # One tensor: making a constant takes as long as a small operation.
    constants = _constants(tuple(int(size) for size in levels), bound)
    half, width, offset, shift = ops.unstack(ops.convert_to_tensor(constants, dtype=x.dtype))
    has_even_levels = bool(constants[2].any())
    if has_even_levels:
        x = x + shift
    raw = (ops.tanh(x) if bound == "tanh" else ops.clip(x, -1.0, 1.0)) * half
    if has_even_levels:
        raw = raw - offset
    return raw, width, width


@functools.lru_cache(maxsize=256)
def _constants(levels: tuple[int, ...], bound: str) -> np.ndarray:
    """Half the range, half the levels, offset and shift of each channel."""
    sizes = np.array(levels)
    half, offset = (sizes - 1) * (1 + MARGIN) / 2, np.where(sizes % 2 == 0, 0.5, 0.0)
    shift = np.arctanh(offset / half) if bound == "tanh" else offset / half
    return np.stack([half, sizes // 2, offset, shift])


def scalar_values(digits: Tensor, levels: Sequence[int], symmetric: bool = False) -> Tensor:
    """Returns the quantised values of levels.

    Args:
        digits: int tensor, or whole numbers in a float tensor, `(..., channels)`, from 0 to L - 1
            for a channel of L levels.
        levels: ints, the number of levels of each channel.
        symmetric: bool, see `keras_cmg.ops.quantize_scalars`.

    Returns:
        Tensor `(..., channels)` in [-1, 1], of the dtype of float digits, else float32.

    Example:

    >>> scalar_values(np.array([[0, 1, 2]]), (3, 3, 3))[0].tolist()
    [-1.0, 0.0, 1.0]
    """
    sizes, digits = np.asarray(levels), ops.convert_to_tensor(digits)
    if "float" not in keras.backend.standardize_dtype(digits.dtype):
        digits = ops.cast(digits, "float32")
    if symmetric:
        return digits / ops.convert_to_tensor((sizes - 1) / 2, dtype=digits.dtype) - 1.0
    width = ops.convert_to_tensor(sizes // 2, dtype=digits.dtype)
    return (digits - width) / width


def pack_digits(digits: Tensor, levels: Sequence[int]) -> Tensor:
    """Computes one index from the digits of a number of mixed radix, the first digit lowest.

    Args:
        digits: int tensor, or whole numbers in a float32 tensor, `(..., channels)`, from 0 to L - 1
            for a channel of L levels.
        levels: ints, the number of levels of each channel; their product must be below 2^31.

    Returns:
        int32 tensor `(...)`, `sum_i digits_i prod_{j < i} levels_j`.

    Example:

    >>> int(pack_digits(np.array([2, 1]), (5, 3)))
    7
    """
    digits, basis = ops.convert_to_tensor(digits), np.cumprod([1, *levels[:-1]])
    is_float = "float" in keras.backend.standardize_dtype(digits.dtype)
    if is_float and num_values(levels) <= EXACT_IN_FLOAT:
        # A product of floats is several times as fast as a sum over so short an axis.
        weights = ops.convert_to_tensor(basis[:, None], dtype=digits.dtype)
        return ops.cast(matmul(digits, weights)[..., 0], "int32")
    whole = ops.cast(digits, "int32")
    return ops.sum(whole * ops.convert_to_tensor(basis, dtype="int32"), axis=-1)


def unpack_digits(indices: Tensor, levels: Sequence[int]) -> Tensor:
    """Inverts `keras_cmg.ops.pack_digits`.

    Args:
        indices: int tensor `(...)`.
        levels: ints, the number of levels of each channel.

    Returns:
        int32 tensor `(..., channels)`.

    Example:

    >>> unpack_digits(np.array(7), (5, 3)).tolist()
    [2, 1]
    """
    rest = ops.cast(indices, "int32")
    digits = []
    for size in levels:
        digits.append(ops.mod(rest, size))
        rest = ops.floor_divide(rest, size)
    return ops.stack(digits, axis=-1)


def num_values(levels: Sequence[int]) -> int:
    """Returns the number of codes of finite scalar quantisation.

    Args:
        levels: ints, the number of levels of each channel.

    Returns:
        int, their product.

    Example:

    >>> num_values((8, 5, 5, 5))
    1000
    """
    return math.prod(levels)
