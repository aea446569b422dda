"""Events found in time: F1 per segment and per event, mean over videos."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.metrics.running_mean import RunningMean
from keras_cmg.ops import localization


class _VideoF1(RunningMean):
    """Thresholds, counts, and averages over videos; what is counted is the subclass's."""

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
        """Counts of each class in each video."""
        raise NotImplementedError(f"{type(self).__name__} must define `counts`.")

    def values(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) not in (3, 4) or tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                f"{type(self).__name__} takes labels and predictions of one shape, (batch, "
                "[modalities,] frames, classes). "
                f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        if self.drop_background:
            y_true, y_pred = y_true[..., :-1], y_pred[..., :-1]
        y_true = ops.cast(y_true > 0, self.total.dtype)
        y_pred = ops.cast(y_pred > self.threshold, self.total.dtype)
        counts = self.counts(y_true, y_pred)
        if len(y_pred.shape) == 4:
            hits, wrong, missed = (ops.sum(count, axis=1) for count in counts)
            counts = hits, wrong, missed
        return localization.mean_f1(counts)

    def get_config(self):
        names = ("threshold", "drop_background")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("keras_cmg")
class SegmentF1(_VideoF1):
    """Segment-level F1 of video parsing: mean over videos of the mean over their classes.

    A video's classes are those that it has or was said to have; a video with none scores 1. One
    metric per modality: pass one modality's labels and predictions for *audio* or *visual* events,
    their products for *audio-visual* events. With an axis of modalities the counts of all are added
    before the F1, which is *Event@AV*.

    Args:
        threshold: predictions above it count as found; 0.5 for probabilities, 0 for logits.
        drop_background: leave out the last class.
        name: of the metric.
        dtype: of its state.

    Call arguments:
        y_true: `(batch, [modalities,] frames, classes)`, nonzero where a class is there.
        y_pred: probabilities or logits of the same shape.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if the shapes differ or have another rank.

    Example:

    >>> metric = SegmentF1()
    >>> metric.update_state(np.array([[[1], [1], [0]]]), np.array([[[0.9], [0.2], [0.1]]]))
    >>> round(float(metric.result()), 4)
    0.6667

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """

    def counts(self, y_true, y_pred):
        return localization.segment_counts(y_true, y_pred)


@keras.saving.register_keras_serializable("keras_cmg")
class EventF1(_VideoF1):
    """Event-level F1 of video parsing: as `SegmentF1`, counting events in place of segments.

    An event is a run of segments, and is found if a predicted run overlaps it by at least `iou`.

    Args:
        iou: least ratio of intersection and union, at least 0.5.
        threshold: predictions above it count as found; 0.5 for probabilities, 0 for logits.
        drop_background: leave out the last class.
        name: of the metric.
        dtype: of its state.

    Call arguments:
        y_true: `(batch, [modalities,] frames, classes)`, nonzero where a class is there.
        y_pred: probabilities or logits of the same shape.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if the shapes differ or have another rank, or `iou` lies outside [0.5, 1].

    Example:

    >>> metric = EventF1()
    >>> metric.update_state(np.array([[[1], [1], [0]]]), np.array([[[0.9], [0.2], [0.1]]]))
    >>> float(metric.result())
    1.0

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """

    def __init__(
        self,
        iou: float = 0.5,
        threshold: float = 0.5,
        drop_background: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(threshold, drop_background, name=name, dtype=dtype)
        if not 0.5 <= iou <= 1:
            raise ValueError(f"`iou` must lie in [0.5, 1]. Received: {iou}")
        self.iou = iou

    def counts(self, y_true, y_pred):
        return localization.event_counts(y_true, y_pred, self.iou)

    def get_config(self):
        return {**super().get_config(), "iou": self.iou}
