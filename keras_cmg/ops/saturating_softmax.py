"""A softmax with an accurate gradient where one weight is close to one."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor


def saturating_softmax(scores: Tensor) -> Tensor:
    """Computes the softmax over the last axis, with weights above one half as one minus the others.

    The gradient of a softmax is `dL/ds_i = w_i (dL/dw_i - sum_j w_j dL/dw_j)`. Where `w_i` is close
    to one, this is a difference of nearly equal numbers, which in float32 consists of rounding
    errors that Adam scales up to full steps. With `w_i = 1 - sum of the others`, the gradient has
    the differences `dL/dw_j - dL/dw_i`, each multiplied by a small `w_j`, and nothing cancels.

    Args:
        scores: float tensor `(..., keys)`.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> saturating_softmax(np.array([[900.0, 0.0]], "float32")).tolist()
    [[1.0, 0.0]]

    References:
        Vaswani et al. (2017), Attention Is All You Need, Eq. 1, of which this is the softmax.
    """
    weights = ops.exp(ops.log_softmax(scores, axis=-1))
    # At most one weight is that large; where none is, nothing cancels.
    dominant = weights > 0.5
    others = ops.where(dominant, 0.0, weights)
    return ops.where(dominant, 1.0 - ops.sum(others, axis=-1, keepdims=True), others)
