"""Codes of signs: their indices, and entropies of the choice of codes."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_cmg.types import Tensor


def pack_signs(x: Tensor) -> Tensor:
    """Computes the index of a vector of signs, the first channel the highest bit.

    Args:
        x: float tensor `(..., bits)`, at most 31 bits; a bit is set where `x > 0`.

    Returns:
        int32 tensor `(...)`.

    Example:

    >>> int(pack_signs(np.array([1.0, -1.0, 1.0])))
    5
    """
    x = ops.convert_to_tensor(x)
    powers = ops.convert_to_tensor(2 ** np.arange(x.shape[-1])[::-1].copy(), dtype="int32")
    return ops.sum(ops.cast(x > 0, "int32") * powers, axis=-1)


def unpack_signs(indices: Tensor, num_bits: int) -> Tensor:
    """Inverts `keras_cmg.ops.pack_signs`.

    Args:
        indices: int tensor `(...)`, from 0 to `2**num_bits - 1`.
        num_bits: int, at most 31.

    Returns:
        float32 tensor `(..., num_bits)` of -1 and 1.

    Example:

    >>> unpack_signs(np.array(5), 3).tolist()
    [1.0, -1.0, 1.0]
    """
    powers = ops.convert_to_tensor(2 ** np.arange(num_bits)[::-1].copy(), dtype="int32")
    bits = ops.mod(ops.floor_divide(ops.cast(indices, "int32")[..., None], powers), 2)
    return 2.0 * ops.cast(bits, "float32") - 1.0


def sign_entropy(logits: Tensor) -> Tensor:
    """Computes the entropy of independent signs, the sum over channels.

    Args:
        logits: float tensor `(..., bits)`; a channel is 1 with probability `sigmoid(logits)`.

    Returns:
        Float tensor `(...)`, in nats. As signs are independent given the logits, it is the entropy
        over all `2**bits` codes, at the cost of `bits`.

    Example:

    >>> round(float(sign_entropy(np.zeros((1, 3), "float32"))[0] / np.log(2)), 4)
    3.0
    """
    size = ops.abs(ops.convert_to_tensor(logits))
    return ops.sum(ops.softplus(-size) + size * ops.sigmoid(-size), axis=-1)


def summed_sign_probabilities(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """Computes the sum over vectors of the probability of every code of signs.

    The probability of a code is a product over its bits, hence of the first half of the bits and
    of the second: one product of matrices `(2**(bits/2), vectors)` and `(vectors, 2**(bits/2))`
    replaces a softmax over `2**bits` codes for each vector.

    Args:
        logits: float tensor `(vectors, bits)`; a bit is set with probability `sigmoid(logits)`.
        weights: optional float tensor `(vectors,)`.

    Returns:
        Float tensor `(2**bits,)` in the order of `keras_cmg.ops.pack_signs`; its sum is the sum of
        weights.

    Example:

    >>> [round(float(p), 2) for p in summed_sign_probabilities(np.array([[np.log(3.0)]]))]
    [0.25, 0.75]
    """
    logits = ops.convert_to_tensor(logits)
    num_bits = logits.shape[-1]
    first = num_bits // 2
    high = _probabilities(logits[:, :first]) if first else ops.ones_like(logits[:, :1])
    low = _probabilities(logits[:, first:])
    if weights is not None:
        low = low * ops.cast(weights, low.dtype)[:, None]
    return ops.reshape(ops.matmul(ops.transpose(high), low), (-1,))


def _probabilities(logits):
    """Probability of each combination of a few bits."""
    num_bits = logits.shape[-1]
    numbers = np.arange(2**num_bits)[:, None]
    signs = 2.0 * (numbers // 2 ** np.arange(num_bits)[::-1] % 2) - 1.0
    signs = ops.convert_to_tensor(signs.T, dtype=logits.dtype)
    return ops.softmax(ops.matmul(logits / 2, signs), axis=-1)


def entropy(probabilities: Tensor, epsilon: float = 1e-12) -> Tensor:
    """Computes the entropy of a distribution.

    Args:
        probabilities: float tensor `(..., codes)`.
        epsilon: float, probabilities in the logarithm are at least this.

    Returns:
        Float tensor `(...)`, in nats.

    Example:

    >>> round(float(entropy(np.array([0.5, 0.5]))), 4)
    0.6931
    """
    probabilities = ops.convert_to_tensor(probabilities)
    return -ops.sum(probabilities * ops.log(ops.maximum(probabilities, epsilon)), axis=-1)
