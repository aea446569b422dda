"""F1 of segments in video parsing."""

from __future__ import annotations

import keras

from keras_cmg.metrics.video_f1 import VideoF1
from keras_cmg.ops import localization


@keras.saving.register_keras_serializable("keras_cmg")
class SegmentF1(VideoF1):
    """Computes the segment-level F1 of video parsing: the mean over videos and their classes.

    The classes of a video are those of its labels and predictions; a video without any scores 1.
    Pass one modality's labels and predictions for *audio* or *visual* events, their products for
    *audio-visual* events. With an axis of modalities, counts are summed over modalities before the
    F1 is computed, which is *Event@AV*.

    Args:
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
        ValueError: if the shapes differ, or are of another rank.

    Example:

    >>> metric = keras_cmg.metrics.SegmentF1()
    >>> metric.update_state(np.array([[[1], [1], [0]]]), np.array([[[0.9], [0.2], [0.1]]]))
    >>> round(float(metric.result()), 4)
    0.6667

    References:
        Tian et al. (2020), Unified Multisensory Perception: Weakly-Supervised Audio-Visual Video
        Parsing, section 5.1.
    """

    def counts(self, y_true, y_pred):
        return localization.segment_counts(y_true, y_pred)
