"""The F1 that the published code reports for localisation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cmg")
class MicroF1(keras.metrics.Metric):
    """F1 over all entries of all segments and classes, background included.

    The authors' code takes precision and recall of each batch, means of both weighted by the
    batch's size, and the F1 of the two means (`reduction="batches"`), so that its outcome hangs on
    the batches. `reduction="total"` counts over everything first, which is the usual micro F1.

    Args:
        threshold: predictions above it count as found; 0.5 for probabilities, 0 for logits.
        reduction: `"total"`, or `"batches"` as the authors' code.
        drop_background: leave out the last class; the authors' code does not.
        name: of the metric.
        dtype: of its state.

    Call arguments:
        y_true: `(batch, ..., classes)`, nonzero where a class is there.
        y_pred: probabilities or logits of the same shape.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1]; `precision()` and `recall()` have its parts. Nothing found has precision
        0, nothing to find recall 0.

    Raises:
        ValueError: for an unknown reduction, or if the shapes differ.

    Example:

    >>> metric = MicroF1()
    >>> metric.update_state(np.array([[1, 1, 0]]), np.array([[0.9, 0.2, 0.1]]))
    >>> float(metric.precision()), float(metric.recall()), round(float(metric.result()), 4)
    (1.0, 0.5, 0.6667)
    """

    def __init__(
        self,
        threshold: float = 0.5,
        reduction: str = "total",
        drop_background: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if reduction not in ("total", "batches"):
            raise ValueError(f"`reduction` must be 'total' or 'batches'. Received: {reduction!r}")
        self.threshold = threshold
        self.reduction = reduction
        self.drop_background = drop_background
        # Of all entries: hits, found, there. Of batches: precision and recall times size, size.
        self.sums = self.add_variable((3,), "zeros", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                "MicroF1 takes labels and predictions of one shape. "
                f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        if self.drop_background:
            y_true, y_pred = y_true[..., :-1], y_pred[..., :-1]
        y_true = ops.cast(y_true > 0, self.sums.dtype)
        y_pred = ops.cast(y_pred > self.threshold, self.sums.dtype)
        clips = tuple(range(1, len(y_pred.shape)))
        counts = [ops.sum(x, axis=clips) for x in (y_true * y_pred, y_pred, y_true)]
        weight = ops.ones_like(counts[0])
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        hits, found, there = (ops.sum(weight * count) for count in counts)
        if self.reduction == "batches":
            size = ops.sum(weight)
            sums = [_ratio(hits, found) * size, _ratio(hits, there) * size, size]
        else:
            sums = [hits, found, there]
        self.sums.assign_add(ops.stack(sums))

    def precision(self) -> Any:
        """Share of what was found that is right.

        Example:

        >>> float(MicroF1().precision())
        0.0
        """
        return _ratio(self.sums[0], self.sums[2 if self.reduction == "batches" else 1])

    def recall(self) -> Any:
        """Share of what is there that was found.

        Example:

        >>> float(MicroF1().recall())
        0.0
        """
        return _ratio(self.sums[1 if self.reduction == "batches" else 0], self.sums[2])

    def result(self):
        precision, recall = self.precision(), self.recall()
        return _ratio(2 * precision * recall, precision + recall)

    def get_config(self):
        names = ("threshold", "reduction", "drop_background")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _ratio(part: Any, whole: Any) -> Any:
    return ops.where(whole > 0, part / ops.where(whole > 0, whole, 1.0), 0.0)
