"""The Fréchet distance of two sets of features, and their moments."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_cmg.types import Tensor


def merge_moments(
    count: Tensor, mean: Tensor, comoment: Tensor, x: Tensor, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Updates count, mean and co-moment of vectors by a batch.

    Unlike sums of squares, co-moments keep their digits where the mean is large.

    Args:
        count: scalar, number of earlier vectors.
        mean: `(dim,)`, their mean.
        comoment: `(dim, dim)`, their sum of products of deviations from the mean.
        x: `(batch, dim)`, the new vectors.
        weights: optional `(batch,)`, weights of the new vectors.

    Returns:
        Count, mean and co-moment of all vectors.

    Example:

    >>> x = np.array([[1.0], [3.0]], "float32")
    >>> nothing = (ops.zeros(()), ops.zeros(1), ops.zeros((1, 1)))
    >>> state = merge_moments(*nothing, x)
    >>> [float(ops.squeeze(value)) for value in state]
    [2.0, 2.0, 2.0]

    References:
        Chan et al. (1979), Updating formulae and a pairwise algorithm for computing sample
        variances.
    """
    count, mean, comoment = (ops.convert_to_tensor(value) for value in (count, mean, comoment))
    x = ops.cast(x, mean.dtype)
    ones = ops.ones_like(x[:, 0])
    weights = ones if weights is None else ops.cast(weights, mean.dtype) * ones
    more = ops.sum(weights)
    total = count + more
    # Without new vectors, the state does not change.
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
    """Computes the squared Fréchet distance of two Gaussians.

    `|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`, where the trace of the root is computed as
    the sum of the singular values of `C_a^(1/2) C_b^(1/2)`, which needs no complex numbers.

    Args:
        mean_a: `(dim,)`.
        covariance_a: `(dim, dim)`.
        mean_b: `(dim,)`.
        covariance_b: `(dim, dim)`.

    Returns:
        Scalar, at least 0; exact to about 1e-3 of the traces in single precision.

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
    # Solvers divide by underflowing numbers on matrices of very small entries.
    scale = ops.max(ops.abs(covariance))
    scale = ops.where(scale > 0, scale, 1.0)
    # Its singular vectors are its eigenvectors. PyTorch's solver of eigenvalues fails on some
    # matrices of rank one in single precision, such as those of images that are all alike.
    vectors, values, _ = ops.svd((covariance + ops.transpose(covariance)) / (2 * scale))
    # Eigenvalues below the rounding error of the largest are noise, and their roots are larger.
    precision = np.finfo(keras.backend.standardize_dtype(values.dtype)).eps
    noise = values.shape[0] * precision * ops.max(values)
    roots = ops.sqrt(ops.where(values > noise, values, 0.0) * scale)
    return ops.matmul(vectors * roots, ops.transpose(vectors))
