"""F1 of events in video parsing."""

from __future__ import annotations

from typing import Any

import keras

from keras_cmg.metrics.video_f1 import VideoF1
from keras_cmg.ops import localization


@keras.saving.register_keras_serializable("keras_cmg")
class EventF1(VideoF1):
    """Computes the event-level F1 of video parsing: as `SegmentF1`, of events.

    An event is a run of consecutive positive segments. It is a hit if the intersection over union
    with a predicted run is at least `iou`.

    Args:
        iou: float, smallest intersection over union of a hit, in [0.5, 1].
        threshold: float, predictions above it are positive; 0.5 for probabilities, 0 for logits.
        drop_background: bool, whether the last class is ignored.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        y_true: `(batch, [modalities,] frames, classes)`, nonzero for positives.
        y_pred: probabilities or logits of the same shape.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if the shapes differ or are of another rank, or `iou` is not in [0.5, 1].

    Example:

    >>> metric = keras_cmg.metrics.EventF1()
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
