"""Random draws that are the same on every engine: a hash of a counter.

Keras' own generators differ between engines for the same seed. What enters the maths of a model
(the time step of CPC, partners of sampled CLUB, donors of dead codes) is drawn from here, so that
a run can be repeated, number for number, on another engine.
"""

from __future__ import annotations

import math

from keras import ops

from keras_cmg.types import Tensor


def random_bits(counter: Tensor, count: int, salt: int = 0) -> Tensor:
    """Pseudo-random 31-bit integers (the finaliser of MurmurHash3; Appleby, 2011).

    Args:
        counter: int32 scalar, one per training step.
        count: how many to draw.
        salt: tells apart several draws of one step.

    Returns:
        int32 tensor `(count,)` of values in [0, 2^31).

    Example:

    >>> [int(b) for b in random_bits(0, 2)] == [int(b) for b in random_bits(0, 2)]
    True
    """
    counter = ops.cast(counter, "int32")
    seed = _hash(counter * _int32(-1640531527) + _int32(salt))
    return ops.bitwise_and(_hash(ops.arange(count, dtype="int32") * 97 + seed), 0x7FFFFFFF)


def random_integer(counter: Tensor, low: int, high: int, salt: int = 0) -> Tensor:
    """One integer drawn uniformly from `low` to `high - 1`.

    Args:
        counter: int32 scalar.
        low: smallest value.
        high: one more than the largest value.
        salt: tells apart several draws of one step.

    Returns:
        int32 scalar.

    Raises:
        ValueError: if the range is empty.

    Example:

    >>> int(random_integer(7, 3, 4))
    3
    """
    if high <= low:
        raise ValueError(f"`high` must exceed `low`. Received: low={low}, high={high}")
    return ops.mod(random_bits(counter, 1, salt)[0], high - low) + low


def random_permutation(counter: Tensor, count: int, salt: int = 0) -> Tensor:
    """A permutation of `0 .. count - 1`.

    Args:
        counter: int32 scalar.
        count: length.
        salt: tells apart several draws of one step.

    Returns:
        int32 tensor `(count,)`.

    Example:

    >>> sorted(int(i) for i in random_permutation(1, 4))
    [0, 1, 2, 3]
    """
    return ops.cast(ops.argsort(random_bits(counter, count, salt)), "int32")


def random_uniform(counter: Tensor, shape: tuple[int, ...], salt: int = 0) -> Tensor:
    """Floats drawn uniformly from [0, 1).

    Args:
        counter: int32 scalar.
        shape: shape of the result.
        salt: tells apart several draws of one step.

    Returns:
        float32 tensor of that shape, multiples of 2^-24.

    Example:

    >>> random_uniform(1, (2, 3)).shape == (2, 3)
    True
    """
    count = 1
    for size in shape:
        count *= size
    bits = ops.right_shift(random_bits(counter, count, salt), 7)
    return ops.reshape(ops.cast(bits, "float32") * 2.0**-24, shape)


def random_normal(counter: Tensor, shape: tuple, salt: int = 0) -> Tensor:
    """Draws floats from the standard normal distribution.

    Args:
        counter: int32 scalar.
        shape: shape of the result; sizes may be scalar tensors.
        salt: int, tells apart several draws of one step.

    Returns:
        float32 tensor of that shape.

    Example:

    >>> tuple(random_normal(1, (2, 3)).shape)
    (2, 3)

    References:
        Box and Muller (1958), A Note on the Generation of Random Normal Deviates.
    """
    uniform = random_uniform(counter, (2, *shape), salt)
    # 1 - u lies in (0, 1], where the logarithm is finite.
    return ops.sqrt(-2.0 * ops.log(1.0 - uniform[0])) * ops.cos(2 * math.pi * uniform[1])


def _int32(value: int) -> Tensor:
    return ops.convert_to_tensor((value + 2**31) % 2**32 - 2**31, dtype="int32")


def _logical_shift(x: Tensor, bits: int) -> Tensor:
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def _hash(x: Tensor) -> Tensor:
    x = ops.bitwise_xor(x, _logical_shift(x, 16)) * _int32(-2048144789)
    x = ops.bitwise_xor(x, _logical_shift(x, 13)) * _int32(-1028477387)
    return ops.bitwise_xor(x, _logical_shift(x, 16))
