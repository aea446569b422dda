"""The effective number of codes in use."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.ops import quantization


@keras.saving.register_keras_serializable("keras_cmg")
class Perplexity(keras.metrics.Metric):
    """Computes the effective number of codes in use: the exponential of the entropy of their usage.

    The result is the perplexity of all assignments, not the mean of the perplexities of batches.

    Args:
        num_embeddings: int, number of codes.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        indices: int tensor of any shape.
        sample_weight: optional, of the shape of `indices`.

    Returns:
        Scalar between 1 and `num_embeddings`, in codes; 1 before the first update.

    Raises:
        ValueError: if `num_embeddings` is below 1.

    Example:

    >>> metric = keras_cmg.metrics.Perplexity(num_embeddings=4)
    >>> metric.update_state(np.array([0, 0, 1]))
    >>> metric.update_state(np.array([1]))
    >>> round(float(metric.result()), 4)
    2.0
    """

    def __init__(self, num_embeddings: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        require_sizes(num_embeddings=num_embeddings)
        self.num_embeddings = num_embeddings
        self.counts = self.add_variable((num_embeddings,), "zeros", name="counts")

    def update_state(self, indices, sample_weight=None):
        self.counts.assign_add(
            ops.cast(
                quantization.code_counts(indices, self.num_embeddings, sample_weight),
                self.counts.dtype,
            )
        )

    def result(self):
        total = ops.sum(self.counts)
        return quantization.perplexity(ops.divide(self.counts, ops.where(total > 0, total, 1.0)))

    def get_config(self):
        return {**super().get_config(), "num_embeddings": self.num_embeddings}
