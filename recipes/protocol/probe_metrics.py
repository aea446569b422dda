"""Metrics of probes: accuracy of clips, F1 of seconds and events, and constant answers."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

from keras_cmg import metrics
from recipes.protocol.clips import clip_classes


def localisation(batches: bool = False) -> dict[str, keras.metrics.Metric]:
    """Returns metrics of classes by the second, on logits.

    Args:
        batches: whether precision and recall are averaged over batches, as in the published code.

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
    """Computes the scores of one probe.

    Args:
        localises: whether every second has classes, or each clip one.
        labels: (clips, frames, classes + 1).
        logits: (clips, frames, classes + 1), or (clips, classes).
        batch_size: clips per batch, which changes the published code's F1; all at once if None.
        only: name of the only metric to compute; all if None.

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
    """Returns the constant answer: the most frequent classes of the training clips.

    Args:
        localises: whether every second has classes, or each clip one.
        labels: (clips, frames, classes + 1) of the training clips.
        count: number of clips.

    Returns:
        Logits (count, frames, classes + 1), or (count, classes).

    Example:

    >>> labels = np.zeros((3, 10, 3))
    >>> labels[:2, :, 0] = labels[2, :, 1] = 1
    >>> int(constant_logits(False, labels, 1).argmax())
    0
    """
    if localises:
        # Positive for classes that more than half of the seconds have.
        answer = labels.mean(axis=(0, 1)) - 0.5
        return np.broadcast_to(answer, (count, labels.shape[1], len(answer)))
    classes = clip_classes(labels)
    answer = np.bincount(classes, minlength=labels.shape[-1] - 1).astype("float32")
    return np.broadcast_to(answer, (count, len(answer)))
