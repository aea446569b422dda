"""Micro-averaged F1 of localisation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.metrics.running_mean import shapes_agree


@keras.saving.register_keras_serializable("keras_cmg")
class MicroF1(keras.metrics.Metric):
    """Computes the F1 of all entries of all segments and classes, background included.

    With `reduction="total"`, true and predicted positives are counted over all data, which is the
    usual micro F1. With `reduction="batches"`, as in the authors' code, precision and recall are
    computed for each batch, both are averaged with the sizes of batches as weights, and the result
    is the F1 of the two means; it then depends on how data are batched.

    Args:
        threshold: float, predictions above it are positive; 0.5 for probabilities, 0 for logits.
        reduction: `"total"` or `"batches"`.
        drop_background: bool, whether the last class is ignored; the authors' code includes it.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        y_true: `(batch, ..., classes)`, nonzero for positives.
        y_pred: probabilities or logits of the same shape.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1]; `precision()` and `recall()` return its parts. Precision is 0 without
        predicted positives, recall is 0 without true ones.

    Raises:
        ValueError: if `reduction` is unknown, or the shapes differ.

    Example:

    >>> metric = keras_cmg.metrics.MicroF1()
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
        # "total": hits, predicted positives, positives. "batches": precision and recall times
        # the batch's size, and the size.
        self.sums = self.add_variable((3,), "zeros", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if not shapes_agree(y_true, y_pred):
            raise ValueError(
                "`y_true` and `y_pred` must have the same shape. "
                f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        if self.drop_background:
            y_true, y_pred = y_true[..., :-1], y_pred[..., :-1]
        y_true = ops.cast(y_true > 0, self.sums.dtype)
        y_pred = ops.cast(y_pred > self.threshold, self.sums.dtype)
        axes = tuple(range(1, len(y_pred.shape)))
        counts = [ops.sum(x, axis=axes) for x in (y_true * y_pred, y_pred, y_true)]
        weight = ops.ones_like(counts[0])
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, weight.dtype)
        hits, predicted, positives = (ops.sum(weight * count) for count in counts)
        if self.reduction == "batches":
            size = ops.sum(weight)
            sums = [_ratio(hits, predicted) * size, _ratio(hits, positives) * size, size]
        else:
            sums = [hits, predicted, positives]
        self.sums.assign_add(ops.stack(sums))

    def precision(self) -> Any:
        """Returns the share of predicted positives that are true.

        Example:

        >>> float(keras_cmg.metrics.MicroF1().precision())
        0.0
        """
        return _ratio(self.sums[0], self.sums[2 if self.reduction == "batches" else 1])

    def recall(self) -> Any:
        """Returns the share of true positives among all positives.

        Example:

        >>> float(keras_cmg.metrics.MicroF1().recall())
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
