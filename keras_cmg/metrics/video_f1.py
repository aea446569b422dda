"""The base class of metrics of video parsing: F1 averaged over videos."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_cmg.metrics.running_mean import RunningMean, shapes_agree
from keras_cmg.ops import localization


class VideoF1(RunningMean):
    """Mean over videos of the F1 of counts, which subclasses define.

    Args:
        threshold: float, predictions above it are positive; 0.5 for probabilities, 0 for logits.
        drop_background: bool, whether the last class is ignored.
        name: str, name of the metric.
        dtype: dtype of the state.

    Example:

    >>> issubclass(keras_cmg.metrics.SegmentF1, VideoF1)
    True
    """

    def __init__(
        self,
        threshold: float = 0.5,
        drop_background: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.threshold = threshold
        self.drop_background = drop_background

    def counts(self, y_true: Any, y_pred: Any) -> localization.Counts:
        """Counts hits, false positives and misses of each class in each video."""
        raise NotImplementedError(f"{type(self).__name__} must define `counts`.")

    def values(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) not in (3, 4) or not shapes_agree(y_true, y_pred):
            raise ValueError(
                "`y_true` and `y_pred` must have the same shape (batch, [modalities,] frames, "
                "classes). "
                f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        if self.drop_background:
            y_true, y_pred = y_true[..., :-1], y_pred[..., :-1]
        y_true = ops.cast(y_true > 0, self.total.dtype)
        y_pred = ops.cast(y_pred > self.threshold, self.total.dtype)
        counts = self.counts(y_true, y_pred)
        if len(y_pred.shape) == 4:
            hits, false_positives, misses = (ops.sum(count, axis=1) for count in counts)
            counts = hits, false_positives, misses
        return localization.mean_f1(counts)

    def get_config(self):
        names = ("threshold", "drop_background")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
