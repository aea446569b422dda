"""Quantisation with gradients to vectors and codes, without auxiliary losses (DiVeQ)."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor


def diveq(x: Tensor, codes: Tensor, noise: Tensor | None = None, epsilon: float = 1e-12) -> Tensor:
    """Moves vectors to their codes along a direction that is held constant.

    With the error `d = codes - x`, returns `x + |d| sg((d + noise) / |d + noise|)`: the direction
    has no gradient, the distance has, so that a gradient reaches the vectors and the codes, and no
    codebook or commitment loss is needed. Without noise the values are those of `codes`.

    Args:
        x: float tensor `(..., dim)`.
        codes: the codes of the vectors, of the same shape.
        noise: optional float tensor of the same shape, added to the error. The paper draws it
            from a normal distribution of small variance in training, and adds none in inference.
        epsilon: float, length below which a vector has no direction.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> x, code = np.array([[1.0, 0.0]], "float32"), np.array([[0.0, 2.0]], "float32")
    >>> [round(float(value), 4) for value in diveq(x, code)[0]]
    [0.0, 2.0]

    References:
        Vali et al. (2025), DiVeQ: Differentiable Vector Quantization Using the Reparameterization
        Trick, arXiv:2509.26469.
    """
    x, codes = ops.convert_to_tensor(x), ops.convert_to_tensor(codes)
    error = codes - x
    square = ops.sum(ops.square(error), axis=-1, keepdims=True)
    # The square root has no gradient at zero, where a vector equals its code.
    equal = square <= epsilon**2
    distance = ops.where(equal, 0.0, ops.sqrt(ops.where(equal, 1.0, square)))
    direction = ops.stop_gradient(error if noise is None else error + noise)
    length = ops.sqrt(ops.sum(ops.square(direction), axis=-1, keepdims=True))
    return x + distance * (direction / ops.maximum(length, epsilon))
