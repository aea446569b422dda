"""The rotation trick: a gradient of quantisation that depends on the position within a cell."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor


def rotation_trick(x: Tensor, codes: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Returns the value of `codes` with the gradient of the rotation that maps `x` to it.

    With unit vectors u of `x`, v of its code and w of u + v, the code is `s R x`, where `R = I -
    2 w w^T + 2 v u^T` rotates u to v in their plane and `s = |code| / |x|`. Both are constants of
    the gradient: a gradient g is passed on as `s R^T g`, which preserves its angle with the code,
    where `straight_through` passes on g itself.

    Where the rotation is not defined, because a vector is shorter than `epsilon` or the two vectors
    are opposite, the gradient is that of `straight_through`.

    Args:
        x: float tensor `(..., dim)`.
        codes: float tensor of the same shape, the codes of `x`; they receive no gradient.
        epsilon: float, length below which a vector has no direction.

    Returns:
        Tensor of the same shape, with the values of `codes`.

    Example:

    >>> x, code = np.array([[1.0, 0.0]], "float32"), np.array([[0.0, 2.0]], "float32")
    >>> [round(float(value), 4) for value in rotation_trick(x, code)[0]]
    [0.0, 2.0]

    References:
        Fifty et al. (2024), Restructuring Vector Quantization with the Rotation Trick, section 4.
    """
    x = ops.convert_to_tensor(x)
    codes = ops.stop_gradient(ops.convert_to_tensor(codes))
    fixed = ops.stop_gradient(x)
    x_norm, code_norm = _norm(fixed), _norm(codes)
    u = fixed / ops.maximum(x_norm, epsilon)
    v = codes / ops.maximum(code_norm, epsilon)
    between = _norm(u + v)
    # R x = x - 2 (w.x) w + 2 (u.x) v with w = (u + v) / |u + v|, as multiples of x, u and v.
    along_u, along_v = _dot(x, u), _dot(x, v)
    toward = -2 * (along_u + along_v) / ops.square(ops.maximum(between, epsilon))
    shortest = ops.minimum(ops.minimum(x_norm, code_norm), between)
    defined = shortest > epsilon
    scale = ops.where(defined, code_norm / ops.maximum(x_norm, epsilon), 1.0)
    toward = ops.where(defined, toward * scale, 0.0)
    turned = ops.where(defined, 2 * along_u * scale, 0.0)
    result = scale * x + toward * u + (toward + turned) * v
    # The exact value of the codes, and the straight-through one where nothing was rotated.
    return result + ops.stop_gradient(codes - result)


def _dot(x, y):
    return ops.sum(x * y, axis=-1, keepdims=True)


def _norm(x):
    return ops.sqrt(_dot(x, x))
