"""The base class of metrics that are a weighted mean of one number per clip."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def shapes_agree(a: Any, b: Any) -> bool:
    """Returns whether two tensors have the same shape, as far as it is known.

    Args:
        a: tensor.
        b: tensor.

    Returns:
        bool.

    Example:

    >>> shapes_agree(np.ones((2, 3)), np.ones((1, 3)))
    False
    """
    if len(a.shape) != len(b.shape):
        return False
    pairs = zip(a.shape, b.shape, strict=True)
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


class RunningMean(keras.metrics.Metric):
    """Computes the weighted mean over all clips of `values`, which subclasses define.

    Args:
        name: str, name of the metric.
        dtype: dtype of the state.

    Example:

    >>> issubclass(keras_cmg.metrics.SegmentF1, RunningMean)
    True
    """

    def __init__(self, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def values(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the value of each clip, `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define `values`.")

    def update_state(self, y_true, y_pred, sample_weight=None):
        values = ops.cast(self.values(y_true, y_pred), self.total.dtype)
        self.accumulate(values, sample_weight)

    def accumulate(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values to the weighted mean.

        Args:
            values: `(batch,)`.
            sample_weight: optional, a scalar or `(batch,)`.
        """
        ones = ops.ones_like(values)
        weight = ones if sample_weight is None else ones * ops.cast(sample_weight, values.dtype)
        self.total.assign_add(ops.sum(values * weight))
        self.count.assign_add(ops.sum(weight))

    def result(self):
        total, count = ops.convert_to_tensor(self.total), ops.convert_to_tensor(self.count)
        return total / ops.where(count > 0, count, 1.0)
