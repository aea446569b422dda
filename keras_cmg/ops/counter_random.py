"""Random numbers that are equal on every engine: hashes of a counter.

Keras' generators differ between engines for the same seed. The random numbers of a model (the time
step of CPC, the partners of sampled CLUB, the replacements of dead codes) are computed here, so
that a run can be repeated on another engine.
"""

from __future__ import annotations

import math

from keras import ops

from keras_cmg.types import Tensor


def random_bits(counter: Tensor, count: int, salt: int = 0) -> Tensor:
    """Computes pseudo-random 31-bit integers.

    Args:
        counter: int32 scalar, such as the training step.
        count: int, number of integers.
        salt: int, distinguishes several draws of one step.

    Returns:
        int32 tensor `(count,)` of values in [0, 2^31).

    Example:

    >>> random_bits(7, 2).tolist()
    [97515851, 935879075]

    References:
        Appleby (2011), MurmurHash3, the function `fmix32`.
    """
    counter = ops.cast(counter, "int32")
    seed = _hash(counter * _int32(-1640531527) + _int32(salt))
    return ops.bitwise_and(_hash(ops.arange(count, dtype="int32") * 97 + seed), 0x7FFFFFFF)


def random_integer(counter: Tensor, low: int, high: int, salt: int = 0) -> Tensor:
    """Draws an integer uniformly from `low` to `high - 1`.

    Args:
        counter: int32 scalar, such as the training step.
        low: int, smallest value.
        high: int, one more than the largest value.
        salt: int, distinguishes several draws of one step.

    Returns:
        int32 scalar.

    Raises:
        ValueError: if `high` does not exceed `low`.

    Example:

    >>> int(random_integer(7, 3, 4))
    3
    """
    if high <= low:
        raise ValueError(f"`high` must exceed `low`. Received: low={low}, high={high}")
    return ops.mod(random_bits(counter, 1, salt)[0], high - low) + low


def random_permutation(counter: Tensor, count: int, salt: int = 0) -> Tensor:
    """Draws a permutation of `0 .. count - 1`.

    Args:
        counter: int32 scalar, such as the training step.
        count: int, length.
        salt: int, distinguishes several draws of one step.

    Returns:
        int32 tensor `(count,)`.

    Example:

    >>> random_permutation(1, 4).tolist()
    [1, 2, 3, 0]
    """
    return ops.cast(ops.argsort(random_bits(counter, count, salt)), "int32")


def random_uniform(counter: Tensor, shape: tuple[int, ...], salt: int = 0) -> Tensor:
    """Draws floats uniformly from [0, 1).

    Args:
        counter: int32 scalar, such as the training step.
        shape: tuple of ints, shape of the result.
        salt: int, distinguishes several draws of one step.

    Returns:
        float32 tensor of that shape, multiples of 2^-24.

    Example:

    >>> [round(float(u), 4) for u in random_uniform(1, (2,))]
    [0.33, 0.2893]
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


def choose_eligible(eligible: Tensor, bits: Tensor) -> Tensor:
    """Chooses indices of eligible elements by random bits.

    Args:
        eligible: bool tensor `(count,)`; if none is eligible, the first element is chosen.
        bits: int32 tensor `(draws,)` of `random_bits`.

    Returns:
        Int tensor `(draws,)` of indices.

    Example:

    >>> choose_eligible(np.array([False, True, False, True]), np.array([4, 7])).tolist()
    [1, 3]
    """
    eligible = ops.convert_to_tensor(eligible)
    count = ops.shape(eligible)[0]
    # Indices of eligible elements first, in ascending order.
    order = ops.argsort(ops.where(eligible, 0, 1) * count + ops.arange(count))
    return ops.take(order, ops.mod(bits, ops.maximum(ops.sum(ops.cast(eligible, "int32")), 1)))


def _int32(value: int) -> Tensor:
    return ops.convert_to_tensor((value + 2**31) % 2**32 - 2**31, dtype="int32")


def _logical_shift(x: Tensor, bits: int) -> Tensor:
    return ops.bitwise_and(ops.right_shift(x, bits), (1 << (32 - bits)) - 1)


def _hash(x: Tensor) -> Tensor:
    x = ops.bitwise_xor(x, _logical_shift(x, 16)) * _int32(-2048144789)
    x = ops.bitwise_xor(x, _logical_shift(x, 13)) * _int32(-1028477387)
    return ops.bitwise_xor(x, _logical_shift(x, 16))
