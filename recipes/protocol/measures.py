"""What a probe is measured by, over views of the same clips."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_cmg import metrics


def localisation(batches: bool = False) -> dict[str, keras.metrics.Metric]:
    """Metrics of classes by the second, on logits.

    Args:
        batches: average precision and recall over batches, as the published code does.

    Returns:
        Name to metric.

    Example:

    >>> list(localisation())
    ['micro F1', 'segment F1', 'event F1']
    """
    return {
        "micro F1": metrics.MicroF1(threshold=0, reduction="batches" if batches else "total"),
        "segment F1": metrics.SegmentF1(threshold=0, drop_background=True),
        "event F1": metrics.EventF1(threshold=0, drop_background=True),
    }


def measure(
    localises: bool,
    labels: np.ndarray,
    logits: np.ndarray,
    batch_size: int | None = None,
    only: str | None = None,
) -> dict[str, float]:
    """Scores of one probe.

    Args:
        localises: whether classes are told by the second.
        labels: (clips, frames, classes + 1).
        logits: (clips, frames, classes + 1), or (clips, classes).
        batch_size: clips at once, which moves the published code's F1; all at once if None.
        only: the one metric that is wanted.

    Returns:
        Metric to score, a fraction.

    Example:

    >>> labels = np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]])
    >>> measure(False, labels, np.array([[2.0, 1.0], [3.0, 1.0]]))
    {'accuracy': 0.5}
    """
    found: Mapping[str, keras.metrics.Metric]
    found = (
        localisation(batch_size is not None) if localises else {"accuracy": metrics.ClipAccuracy()}
    )
    size = batch_size or len(labels)
    scores = {}
    for name, metric in found.items():
        if only in (None, name):
            for start in range(0, len(labels), size):
                part = slice(start, start + size)
                metric.update_state(labels[part], logits[part])
            scores[name] = float(metric.result())
    return scores


def constant_logits(localises: bool, labels: np.ndarray, count: int) -> np.ndarray:
    """What one would answer without looking: the commonest classes of the training clips.

    Args:
        localises: whether classes are told by the second.
        labels: (clips, frames, classes + 1) of the training clips.
        count: clips to answer for.

    Returns:
        Logits (count, frames, classes + 1), or (count, classes).

    Example:

    >>> labels = np.zeros((3, 10, 3))
    >>> labels[:2, :, 0] = labels[2, :, 1] = 1
    >>> int(constant_logits(False, labels, 1).argmax())
    0
    """
    if localises:
        # Above zero is what more than half of the seconds show.
        answer = labels.mean(axis=(0, 1)) - 0.5
        return np.broadcast_to(answer, (count, labels.shape[1], len(answer)))
    classes = labels[..., :-1].sum(axis=1).argmax(axis=-1)
    answer = np.bincount(classes, minlength=labels.shape[-1] - 1).astype("float32")
    return np.broadcast_to(answer, (count, len(answer)))
