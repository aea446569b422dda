"""Distance of two clouds of features, each taken as a Gaussian."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_cmg.types import Tensor


def merge_moments(
    count: Tensor, mean: Tensor, comoment: Tensor, x: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and co-moment of vectors seen so far and of more (Chan et al., 1979).

    Sums of squares would lose the digits that the mean takes; these do not.

    Args:
        count: scalar, how many vectors were seen.
        mean: `(dim,)`.
        comoment: `(dim, dim)`, sum of products of deviations from the mean.
        x: `(batch, dim)`, the new ones.
        weights: optional `(batch,)`, how much each counts.

    Returns:
        The three, of all.

    Example:

    >>> x = np.array([[1.0], [3.0]], "float32")
    >>> nothing = (ops.zeros(()), ops.zeros(1), ops.zeros((1, 1)))
    >>> state = merge_moments(*nothing, x)
    >>> [float(ops.squeeze(value)) for value in state]
    [2.0, 2.0, 2.0]
    """
    count, mean, comoment = (ops.convert_to_tensor(value) for value in (count, mean, comoment))
    x = ops.cast(x, mean.dtype)
    ones = ops.ones_like(x[:, 0])
    weights = ones if weights is None else ops.cast(weights, mean.dtype) * ones
    more = ops.sum(weights)
    total = count + more
    # No vector leaves everything as it was.
    own_mean = ops.sum(weights[:, None] * x, axis=0) / ops.where(more > 0, more, 1)
    deviations = x - own_mean
    own = ops.matmul(ops.transpose(deviations * weights[:, None]), deviations)
    shift = own_mean - mean
    part = more / ops.where(total > 0, total, 1)
    comoment = comoment + own + ops.outer(shift, shift) * (count * part)
    return total, mean + shift * part, comoment


def frechet_distance(
    mean_a: Tensor, covariance_a: Tensor, mean_b: Tensor, covariance_b: Tensor
) -> Tensor:
    """Squared Fréchet distance of two Gaussians.

    `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`, where the trace of the root is the sum of
    the singular values of `C_a^(1/2) C_b^(1/2)`: no complex number and no root of a difference.

    Args:
        mean_a: `(dim,)`.
        covariance_a: `(dim, dim)`.
        mean_b: `(dim,)`.
        covariance_b: `(dim, dim)`.

    Returns:
        Scalar, at least 0; in single precision to about 1e-3 of the traces.

    Example:

    >>> one, two = np.eye(1, dtype="float32"), 4 * np.eye(1, dtype="float32")
    >>> round(float(frechet_distance(np.zeros(1, "float32"), one, np.ones(1, "float32"), two)), 4)
    2.0

    References:
        Dowson and Landau (1982), The Fréchet distance between multivariate normal distributions;
        Heusel et al. (2017), GANs Trained by a Two Time-Scale Update Rule, Eq. 6.
    """
    mean_a, mean_b = ops.convert_to_tensor(mean_a), ops.convert_to_tensor(mean_b)
    roots = ops.matmul(_root(covariance_a), _root(covariance_b))
    overlap = ops.sum(ops.svd(roots, compute_uv=False))
    traces = ops.trace(covariance_a) + ops.trace(covariance_b)
    return ops.maximum(ops.sum(ops.square(mean_a - mean_b)) + traces - 2 * overlap, 0)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric root of a positive semi-definite matrix."""
    covariance = ops.convert_to_tensor(covariance)
    # Matrices of very small entries make solvers divide by what has underflown.
    scale = ops.max(ops.abs(covariance))
    scale = ops.where(scale > 0, scale, 1.0)
    # Singular vectors, which are its eigenvectors: the solver of eigenvalues on PyTorch gives up on
    # some matrices of rank one in single precision, such as of images that are all alike.
    vectors, values, _ = ops.svd((covariance + ops.transpose(covariance)) / (2 * scale))
    # Below the rounding of the largest, an eigenvalue is noise, and its root would be much larger.
    precision = np.finfo(keras.backend.standardize_dtype(values.dtype)).eps
    noise = values.shape[0] * precision * ops.max(values)
    roots = ops.sqrt(ops.where(values > noise, values, 0.0) * scale)
    return ops.matmul(vectors * roots, ops.transpose(vectors))
