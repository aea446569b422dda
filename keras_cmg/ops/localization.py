"""Counts and F1 of segments and events in time (Tian et al., 2020)."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor

Counts = tuple[Tensor, Tensor, Tensor]
"""Hits (true positives), false positives, and misses (false negatives)."""


def segment_counts(y_true: Tensor, y_pred: Tensor) -> Counts:
    """Counts hits, false positives and misses of segments, for each class of each video.

    Args:
        y_true: `(..., frames, classes)` of 0 and 1.
        y_pred: the same.

    Returns:
        Three float tensors `(..., classes)`.

    Example:

    >>> y_true, y_pred = np.array([[1.0], [1.0], [0.0]]), np.array([[1.0], [0.0], [1.0]])
    >>> [float(ops.squeeze(n)) for n in segment_counts(y_true, y_pred)]
    [1.0, 1.0, 1.0]

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    hits = ops.sum(y_true * y_pred, axis=-2)
    return hits, ops.sum(y_pred, axis=-2) - hits, ops.sum(y_true, axis=-2) - hits


def event_counts(y_true: Tensor, y_pred: Tensor, iou: float = 0.5) -> Counts:
    """Counts hits, false positives and misses of events, for each class of each video.

    An event is a run of consecutive segments. It is a hit if its intersection over union with a
    predicted run is at least `iou`; from one half on, at most one predicted run qualifies.

    Args:
        y_true: `(..., frames, classes)` of 0 and 1; the number of frames is static.
        y_pred: the same.
        iou: float, smallest intersection over union of a hit, in [0.5, 1].

    Returns:
        Three float tensors `(..., classes)`.

    Raises:
        ValueError: if `iou` is not in [0.5, 1].

    Example:

    >>> y_true = np.array([[1.0], [1.0], [0.0], [1.0]])
    >>> y_pred = np.array([[1.0], [0.0], [0.0], [0.0]])
    >>> [float(ops.squeeze(n)) for n in event_counts(y_true, y_pred)]
    [1.0, 0.0, 1.0]

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """
    if not 0.5 <= iou <= 1:
        raise ValueError(f"`iou` must lie in [0.5, 1]. Received: {iou}")
    true_runs, predicted_runs = _runs(y_true), _runs(y_pred)
    intersection = ops.einsum("...tcr,...tcs->...crs", true_runs, predicted_runs)
    dtype = intersection.dtype
    true_sizes, predicted_sizes = ops.sum(true_runs, axis=-3), ops.sum(predicted_runs, axis=-3)
    union = true_sizes[..., :, None] + predicted_sizes[..., None, :] - intersection
    matches = ops.logical_and(intersection > 0, intersection >= iou * union)
    hits = ops.sum(ops.cast(matches, dtype), axis=(-2, -1))
    false_positives = ops.sum(ops.cast(predicted_sizes > 0, dtype), axis=-1) - hits
    misses = ops.sum(ops.cast(true_sizes > 0, dtype), axis=-1) - hits
    return hits, false_positives, misses


def _runs(x: Tensor) -> Tensor:
    """Membership of frames in runs of ones: `(..., frames, classes, runs)` of 0 and 1."""
    x = ops.convert_to_tensor(x)
    frames = x.shape[-2]
    before = ops.concatenate([ops.zeros_like(x[..., :1, :]), x[..., :-1, :]], axis=-2)
    number = ops.cumsum(x * (1 - before), axis=-2)
    # There is at most one run for every two frames.
    runs = ops.arange(1, (frames + 1) // 2 + 1, dtype=x.dtype)
    return ops.cast(ops.equal(number[..., None], runs), x.dtype) * x[..., None]


def mean_f1(counts: Counts) -> Tensor:
    """Computes the mean F1 over the classes of a video's labels and predictions.

    Args:
        counts: hits, false positives and misses of `segment_counts` or `event_counts`,
            `(..., classes)`.

    Returns:
        Float tensor `(...)`; 1 for a video without any class in labels and predictions.

    Example:

    >>> hits, misses = np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]])
    >>> [float(f1) for f1 in mean_f1((hits, np.zeros((1, 2)), misses))]
    [0.5]

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """
    hits, false_positives, misses = counts
    total = 2 * hits + false_positives + misses
    f1 = 2 * hits / ops.maximum(total, 1)
    classes = ops.sum(ops.cast(total > 0, total.dtype), axis=-1)
    return ops.where(classes > 0, ops.sum(f1, axis=-1) / ops.maximum(classes, 1), 1.0)
