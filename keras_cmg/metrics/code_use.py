"""How codes are used: how many, by whom, and whether paired modalities agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.metrics.running_mean import RunningMean
from keras_cmg.ops import code_activation, quantization


@keras.saving.register_keras_serializable("keras_cmg")
class Perplexity(keras.metrics.Metric):
    """Effective number of codes in use: the exponential of the entropy of their use.

    Unlike the mean of the perplexities of batches, it is that of all codes seen.

    Args:
        num_embeddings: number of codes.
        name: of the metric.
        dtype: of its state.

    Call arguments:
        indices: int tensor of any shape.
        sample_weight: optional, of the shape of `indices`.

    Returns:
        Scalar between 1 and `num_embeddings`, in codes; 1 before any code is seen.

    Raises:
        ValueError: if `num_embeddings` is below 1.

    Example:

    >>> metric = Perplexity(num_embeddings=4)
    >>> metric.update_state(np.array([0, 0, 1]))
    >>> metric.update_state(np.array([1]))
    >>> round(float(metric.result()), 4)
    2.0
    """

    def __init__(self, num_embeddings: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        if num_embeddings < 1:
            raise ValueError(f"`num_embeddings` must be at least 1. Received: {num_embeddings}")
        self.num_embeddings = num_embeddings
        self.counts = self.add_variable((num_embeddings,), "zeros", name="counts")

    def update_state(self, indices, sample_weight=None):
        self.counts.assign_add(
            count_codes(indices, self.num_embeddings, self.counts.dtype, sample_weight)
        )

    def result(self):
        total = ops.sum(self.counts)
        return quantization.perplexity(ops.divide(self.counts, ops.where(total > 0, total, 1.0)))

    def get_config(self):
        return {**super().get_config(), "num_embeddings": self.num_embeddings}


@keras.saving.register_keras_serializable("keras_cmg")
class CodeActivation(keras.metrics.Metric):
    """How many codes are of one modality, of all, and between: the colours of Figures 6 and 7.

    Args:
        num_embeddings: number of codes.
        modalities: names.
        name: of the metric.
        dtype: of its state.

    Call arguments:
        indices: modality to int tensor of any shape; some may be missing.

    Returns:
        Dict of `"red"`, one modality has more than 95 % of a code's use; `"green"`, every modality
        has at least 5 %; `"blue"`, between the two; `"unused"`: scalars, in codes.

    Raises:
        ValueError: if `num_embeddings` is below 1, or a modality unknown.

    Example:

    >>> metric = CodeActivation(num_embeddings=3, modalities=("audio", "text"))
    >>> metric.update_state({"audio": np.array([0, 1]), "text": np.array([1])})
    >>> {colour: int(count) for colour, count in metric.result().items()}
    {'unused': 1, 'red': 1, 'blue': 0, 'green': 1}

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Figures 6 and 7.
    """

    def __init__(
        self,
        num_embeddings: int,
        modalities: tuple[str, ...],
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if num_embeddings < 1:
            raise ValueError(f"`num_embeddings` must be at least 1. Received: {num_embeddings}")
        self.num_embeddings = num_embeddings
        self.modalities = tuple(modalities)
        shape = (num_embeddings, len(self.modalities))
        self.counts = self.add_variable(shape, "zeros", name="counts")

    def update_state(self, indices: Mapping[str, Any]):
        unknown = set(indices) - set(self.modalities)
        if unknown:
            raise ValueError(
                f"`indices` must be of modalities {self.modalities}. Received: {sorted(unknown)}"
            )
        nothing = ops.zeros((self.num_embeddings,), dtype=self.counts.dtype)
        columns = [
            count_codes(indices[modality], self.num_embeddings, self.counts.dtype)
            if modality in indices
            else nothing
            for modality in self.modalities
        ]
        self.counts.assign_add(ops.stack(columns, axis=1))

    def result(self):
        colours = code_activation.activation_colours(ops.convert_to_tensor(self.counts))
        return {
            name: ops.sum(ops.cast(ops.equal(colours, place), self.counts.dtype))
            for place, name in enumerate(code_activation.COLOURS)
        }

    def get_config(self):
        config = {"num_embeddings": self.num_embeddings, "modalities": self.modalities}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("keras_cmg")
class CodeAgreement(RunningMean):
    """Share of clips, or segments, on which two modalities choose the same code.

    Args:
        name: of the metric.
        dtype: of its state.

    Call arguments:
        y_true: int `(batch, ...)`, codes of one modality.
        y_pred: int of the same shape, codes of another.
        sample_weight: optional, a scalar or `(batch,)`.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if the shapes differ.

    Example:

    >>> metric = CodeAgreement()
    >>> metric.update_state(np.array([1, 2]), np.array([1, 3]))
    >>> float(metric.result())
    0.5
    """

    def values(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            raise ValueError(
                "CodeAgreement takes codes of one shape. "
                f"Received shapes {tuple(y_true.shape)} and {tuple(y_pred.shape)}."
            )
        same = ops.cast(ops.equal(y_true, y_pred), self.total.dtype)
        return (
            ops.mean(same, axis=tuple(range(1, len(same.shape)))) if len(same.shape) > 1 else same
        )


def count_codes(
    indices: Any, num_embeddings: int, dtype: Any = "float32", sample_weight: Any = None
) -> Any:
    """How often each code occurs.

    Args:
        indices: int tensor of any shape.
        num_embeddings: number of codes.
        dtype: of the counts.
        sample_weight: optional, of the shape of `indices`.

    Returns:
        `(num_embeddings,)`.

    Example:

    >>> [float(count) for count in count_codes(np.array([0, 2, 2]), 3)]
    [1.0, 0.0, 2.0]
    """
    flat = ops.reshape(ops.cast(indices, "int32"), (-1,))
    weight = ops.ones(ops.shape(flat), dtype=dtype)
    if sample_weight is not None:
        weight = weight * ops.reshape(ops.cast(sample_weight, dtype), (-1,))
    return ops.segment_sum(weight, flat, num_segments=num_embeddings)
