"""A softmax whose gradient keeps its digits where one score outdoes the rest."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor


def saturating_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis; a weight above one half is worked out as one less the others.

    The gradient of a softmax is `dL/ds_i = w_i (dL/dw_i - sum_j w_j dL/dw_j)`. Where `w_i` is all
    but one, that is the difference of nearly equal numbers: in float32 what is left of it is noise,
    which Adam takes for a direction. With `w_i = 1 - sum of the others` only the differences
    `dL/dw_j - dL/dw_i` take part, each times a small `w_j`, and nothing cancels.

    Args:
        scores: float tensor `(..., keys)`.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> saturating_softmax(np.array([[900.0, 0.0]], "float32")).tolist()
    [[1.0, 0.0]]
    """
    weights = ops.exp(ops.log_softmax(scores, axis=-1))
    # At most one can be that large; where none is, nothing cancels.
    outdoes = weights > 0.5
    others = ops.where(outdoes, 0.0, weights)
    return ops.where(outdoes, 1.0 - ops.sum(others, axis=-1, keepdims=True), others)
