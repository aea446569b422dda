"""Vectors of one mean and one variance: nearest by distance is then nearest by angle."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.types import Tensor


def standardize(x: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Each vector less its mean, over its standard deviation: layer normalisation without weights.

    Ba et al. (2016), Eqs. 2-4, with gain 1 and bias 0. All vectors then have the length
    `sqrt(dim)`, so that their squared distance is `2 dim (1 - cosine)`.

    Args:
        x: float tensor `(..., dim)`.
        epsilon: added to the variance.

    Returns:
        Float tensor of the same shape; zeros for a constant vector.

    Example:

    >>> [round(float(v), 3) for v in standardize(np.array([1.0, 3.0, 5.0], "float32"))]
    [-1.225, 0.0, 1.225]
    """
    x = ops.convert_to_tensor(x)
    given = keras.backend.standardize_dtype(x.dtype)
    # Sums of squares leave the range of half precision.
    wide = ops.cast(x, keras.backend.result_type(given, "float32"))
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return ops.cast(centred * ops.rsqrt(variance + epsilon), given)
