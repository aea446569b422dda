"""What was found of events in time: counts and F1 per video (Tian et al., 2020)."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor

Counts = tuple[Tensor, Tensor, Tensor]
"""True positives, false positives, false negatives."""


def segment_counts(y_true: Tensor, y_pred: Tensor) -> Counts:
    """Segments that were found, wrongly found and missed, of each class in each video.

    Args:
        y_true: `(..., frames, classes)` of 0 and 1.
        y_pred: the same.

    Returns:
        Three float tensors `(..., classes)`.

    Example:

    >>> truth, found = np.array([[1.0], [1.0], [0.0]]), np.array([[1.0], [0.0], [1.0]])
    >>> [float(ops.squeeze(n)) for n in segment_counts(truth, found)]
    [1.0, 1.0, 1.0]
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    hits = ops.sum(y_true * y_pred, axis=-2)
    return hits, ops.sum(y_pred, axis=-2) - hits, ops.sum(y_true, axis=-2) - hits


def event_counts(y_true: Tensor, y_pred: Tensor, iou: float = 0.5) -> Counts:
    """Events that were found, wrongly found and missed, of each class in each video.

    An event is a run of segments. It is found if a predicted run overlaps it by at least `iou`,
    the ratio of intersection and union; above one half no run fits two others.

    Args:
        y_true: `(..., frames, classes)` of 0 and 1; the number of frames is static.
        y_pred: the same.
        iou: least overlap, at least 0.5.

    Returns:
        Three float tensors `(..., classes)`.

    Raises:
        ValueError: `iou` lies outside [0.5, 1].

    Example:

    >>> truth = np.array([[1.0], [1.0], [0.0], [1.0]])
    >>> found = np.array([[1.0], [0.0], [0.0], [0.0]])
    >>> [float(ops.squeeze(n)) for n in event_counts(truth, found)]
    [1.0, 0.0, 1.0]
    """
    if not 0.5 <= iou <= 1:
        raise ValueError(f"`iou` must lie in [0.5, 1]. Received: {iou}")
    true_runs, found_runs = _runs(y_true), _runs(y_pred)
    both = ops.einsum("...tcr,...tcs->...crs", true_runs, found_runs)
    true_sizes, found_sizes = ops.sum(true_runs, axis=-3), ops.sum(found_runs, axis=-3)
    union = true_sizes[..., :, None] + found_sizes[..., None, :] - both
    fits = ops.cast(ops.logical_and(both > 0, both >= iou * union), both.dtype)
    hits = ops.sum(fits, axis=(-2, -1))
    wrong = ops.sum(ops.cast(found_sizes > 0, both.dtype), axis=-1) - hits
    missed = ops.sum(ops.cast(true_sizes > 0, both.dtype), axis=-1) - hits
    return hits, wrong, missed


def _runs(x: Tensor) -> Tensor:
    """Which run of ones each frame is of: `(..., frames, classes, runs)` of 0 and 1."""
    x = ops.convert_to_tensor(x)
    frames = x.shape[-2]
    before = ops.concatenate([ops.zeros_like(x[..., :1, :]), x[..., :-1, :]], axis=-2)
    number = ops.cumsum(x * (1 - before), axis=-2)
    # No more runs fit than every second frame.
    runs = ops.arange(1, (frames + 1) // 2 + 1, dtype=x.dtype)
    return ops.cast(ops.equal(number[..., None], runs), x.dtype) * x[..., None]


def mean_f1(counts: Counts) -> Tensor:
    """F1 of a video: the mean over the classes that it has or was said to have.

    Args:
        counts: of `segment_counts` or `event_counts`, `(..., classes)`.

    Returns:
        Float tensor `(...)`; 1 for a video without any class, in truth and in prediction.

    Example:

    >>> hits, wrong, missed = np.array([[1.0, 0.0]]), np.zeros((1, 2)), np.array([[2.0, 0.0]])
    >>> [float(f1) for f1 in mean_f1((hits, wrong, missed))]
    [0.5]

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """
    hits, wrong, missed = counts
    total = 2 * hits + wrong + missed
    there = ops.cast(total > 0, total.dtype)
    f1 = 2 * hits / ops.maximum(total, 1)
    classes = ops.sum(there, axis=-1)
    return ops.where(classes > 0, ops.sum(f1, axis=-1) / ops.maximum(classes, 1), 1.0)
