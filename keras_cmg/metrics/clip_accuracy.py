"""Accuracy of the event class of a clip."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.metrics.running_mean import RunningMean, shapes_agree


@keras.saving.register_keras_serializable("keras_cmg")
class ClipAccuracy(RunningMean):
    """Computes the share of clips whose event class has the highest score.

    The paper calls this measure precision.

    Args:
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        y_true: int `(batch,)` or `(batch, 1)`, the class; or `(batch, frames, classes + 1)`, labels
            of segments with background as the last class, from which the most frequent event class
            is taken.
        y_pred: scores `(batch, classes)`, or `(batch, frames, classes)`, of which the maximum over
            time is taken.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if labels have another shape, or those of segments do not have one class more
            than the scores.

    Example:

    >>> metric = keras_cmg.metrics.ClipAccuracy()
    >>> metric.update_state(np.array([0, 1]), np.array([[[1, 2], [9, 0]], [[2, 1], [0, 1]]]))
    >>> float(metric.result())
    0.5
    """

    def values(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_pred.shape) == 3:
            y_pred = ops.max(y_pred, axis=1)
        if len(y_true.shape) == 3:
            if y_true.shape[-1] != y_pred.shape[-1] + 1:
                raise ValueError(
                    "`y_true` of segments must have one class, the background, more than `y_pred`. "
                    f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
                )
            y_true = ops.argmax(ops.sum(y_true[..., :-1], axis=1), axis=-1)
        if len(y_true.shape) == 2 and y_true.shape[1] == 1:
            y_true = y_true[:, 0]
        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        if not shapes_agree(y_true, predicted):
            raise ValueError(
                "`y_true` must have shape (batch,), or (batch, frames, classes + 1). "
                f"Received shape {tuple(y_true.shape)} for {tuple(predicted.shape)} clips."
            )
        return ops.equal(predicted, ops.cast(y_true, "int32"))
