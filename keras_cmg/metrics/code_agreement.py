"""The share of clips for which two modalities select the same code."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.metrics.running_mean import RunningMean, shapes_agree


@keras.saving.register_keras_serializable("keras_cmg")
class CodeAgreement(RunningMean):
    """Computes the share of clips, or segments, for which two modalities select the same code.

    Args:
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        y_true: int `(batch, ...)`, codes of one modality.
        y_pred: int of the same shape, codes of another.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> metric = keras_cmg.metrics.CodeAgreement()
    >>> metric.update_state(np.array([1, 2]), np.array([1, 3]))
    >>> float(metric.result())
    0.5
    """

    def values(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if not shapes_agree(y_true, y_pred):
            raise ValueError(
                "`y_true` and `y_pred` must have the same shape. "
                f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        same = ops.cast(ops.equal(y_true, y_pred), self.total.dtype)
        return (
            ops.mean(same, axis=tuple(range(1, len(same.shape)))) if len(same.shape) > 1 else same
        )
