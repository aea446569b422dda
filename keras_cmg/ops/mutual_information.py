"""CLUB: a contrastive log-ratio upper bound on mutual information (Cheng et al., 2020), in nats."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.masking import presence, weighted_mean
from keras_cmg.types import Tensor

NEGATIVES = ("all", "permutation", "pooled_permutation")


def log_likelihood(
    mean: Tensor, log_variance: Tensor, y: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Computes the mean log-density of `y` under a diagonal Gaussian, without its constant.

    Args:
        mean: float tensor `(batch, ..., dim)`.
        log_variance: float tensor of the same shape.
        y: float tensor of the same shape.
        weights: optional `(batch, ...)`; samples of weight 0 are ignored.

    Returns:
        Scalar in nats: the mean over samples of the sum over features of
        `(-(mean - y)^2 / exp(log_variance) - log_variance) / 2`.

    Example:

    >>> z = np.zeros((4, 2), "float32")
    >>> float(log_likelihood(z, z, z + 1))
    -1.0

    References:
        Cheng et al. (2020), CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information,
        section 3.2.
    """
    mean, y = ops.convert_to_tensor(mean), ops.convert_to_tensor(y)
    density = -ops.square(mean - y) / ops.exp(log_variance) - log_variance
    return weighted_mean(ops.sum(density, axis=-1), weights) / 2


def club_upper_bound(
    mean: Tensor,
    log_variance: Tensor,
    y: Tensor,
    negatives: str = "all",
    permutation: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Computes an upper bound on the mutual information of `x` and `y` from q(y | x).

    The bound is the mean log-density of the true pairs minus that of mismatched pairs:

    - `"all"`: every sample of the batch at the same frame is a negative (Huang et al., 2025,
      Eq. 12). Computed exactly in one pass from moments, as
      `mean_j (m_i - y_j)^2 = (m_i - mean_j y_j)^2 + var_j y_j`.
    - `"permutation"`: one sampled partner per sample (Cheng et al., 2020, section 3.3).
    - `"pooled_permutation"`: as in the authors' code, squared errors and log-variances are averaged
      over axis 1 before they are divided, and 2-D inputs are summed over the batch.

    Args:
        mean: float tensor `(batch, [frames,] dim)`, the predicted mean of y.
        log_variance: float tensor of the same shape.
        y: float tensor of the same shape.
        negatives: `"all"`, `"permutation"` or `"pooled_permutation"`.
        permutation: int tensor `(batch,)`, the partners of the sampled variants.
        weights: optional `(batch, [frames])` of zeros and ones; samples of weight 0 are ignored,
            also as negatives of others.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: if `negatives` is unknown, or a sampled variant has no `permutation`.

    Example:

    >>> y = np.array([[-1.0], [1.0]], "float32")
    >>> float(club_upper_bound(y, np.zeros_like(y), y))
    1.0

    References:
        Cheng et al. (2020), CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information,
        sections 3.2 and 3.3; Huang et al. (2025), Enhancing Multimodal Unified Representations for
        Cross Modal Generalization, Eq. 12.
    """
    if negatives not in NEGATIVES:
        raise ValueError(f"`negatives` must be one of {NEGATIVES}. Received: {negatives!r}")
    mean, y = ops.convert_to_tensor(mean), ops.convert_to_tensor(y)
    log_variance = ops.convert_to_tensor(log_variance)
    if weights is not None:
        weights = ops.cast(weights, y.dtype)
    if negatives == "all":
        precision = ops.exp(-log_variance)
        center, spread = _moments(y, weights)
        gap = ops.square(mean - center) + spread - ops.square(mean - y)
        return weighted_mean(ops.sum(gap * precision, axis=-1), weights) / 2
    if permutation is None:
        raise ValueError(
            f"`permutation` must be a tensor with negatives={negatives!r}. Received: None"
        )
    other = ops.take(y, permutation, axis=0)
    # (mean - other)^2 - (mean - y)^2, without the cancellation of two large squares.
    gap = (y - other) * (2 * mean - y - other)
    if negatives == "permutation":
        if weights is not None:
            weights = weights * ops.take(weights, permutation, axis=0)
        return weighted_mean(ops.sum(gap * ops.exp(-log_variance), axis=-1), weights) / 2
    pooled = ops.mean(gap, axis=1) / ops.exp(ops.mean(log_variance, axis=1))
    if weights is not None:
        weights = presence(weights)
        weights = ops.cast(weights * ops.take(weights, permutation, axis=0), pooled.dtype)
    if len(y.shape) == 2:
        return ops.sum(pooled if weights is None else pooled * weights) / 2
    return weighted_mean(ops.sum(pooled, axis=-1), weights) / 2


def _moments(y, weights):
    """Weighted mean and variance over the batch, at each frame."""
    if weights is None:
        return ops.mean(y, axis=0, keepdims=True), ops.var(y, axis=0, keepdims=True)
    weights = ops.broadcast_to(ops.cast(weights, y.dtype)[..., None], (*ops.shape(y)[:-1], 1))
    total = ops.maximum(ops.sum(weights, axis=0, keepdims=True), 1e-6)
    center = ops.sum(weights * y, axis=0, keepdims=True) / total
    spread = ops.sum(weights * ops.square(y - center), axis=0, keepdims=True) / total
    return center, spread
