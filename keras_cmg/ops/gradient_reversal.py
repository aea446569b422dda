"""Gradient reversal, for adversarial training."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor


def reverse_gradient(x: Tensor, scale: float = 1.0) -> Tensor:
    """Returns its input, whose gradient is multiplied by minus `scale`.

    The value is the input's, bit for bit, on every engine.

    Args:
        x: float tensor.
        scale: float, factor of the reversed gradient.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> reverse_gradient(np.array([1.0, -2.0], "float32")).tolist()
    [1.0, -2.0]

    References:
        Ganin and Lempitsky (2015), Unsupervised Domain Adaptation by Backpropagation, section 3.2.
    """
    x = ops.convert_to_tensor(x)
    # The second part is zero, and all of the gradient is its.
    scaled = scale * x
    return ops.stop_gradient(x) + (ops.stop_gradient(scaled) - scaled)
