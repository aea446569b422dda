"""The number of codes used by one modality, by several, and by all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.ops import quantization
from keras_cmg.ops.code_activation import ACTIVATIONS, code_activation


@keras.saving.register_keras_serializable("keras_cmg")
class CodeActivation(keras.metrics.Metric):
    """Counts codes by how their use is distributed over modalities.

    Args:
        num_embeddings: int, number of codes.
        modalities: names of the modalities.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        indices: dict of modality to int tensor of any shape; modalities may be missing.
        sample_weight: optional dict of modality to tensor of the shape of its indices, such as a
            mask; assignments of weight 0 are not counted.

    Returns:
        Dict of scalars, in codes: `"specific"`, one modality has more than 95 % of a code's use;
        `"shared"`, every modality has at least 5 %; `"partial"`, neither; `"unused"`.

    Raises:
        ValueError: if `num_embeddings` is below 1, or a modality is unknown.

    Example:

    >>> metric = keras_cmg.metrics.CodeActivation(num_embeddings=3, modalities=("audio", "text"))
    >>> metric.update_state({"audio": np.array([0, 1]), "text": np.array([1])})
    >>> {name: int(count) for name, count in metric.result().items()}
    {'unused': 1, 'specific': 1, 'partial': 0, 'shared': 1}

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
        require_sizes(num_embeddings=num_embeddings)
        self.num_embeddings = num_embeddings
        self.modalities = tuple(modalities)
        shape = (num_embeddings, len(self.modalities))
        self.counts = self.add_variable(shape, "zeros", name="counts")

    def update_state(
        self, indices: Mapping[str, Any], sample_weight: Mapping[str, Any] | None = None
    ):
        unknown = set(indices) - set(self.modalities)
        if unknown:
            raise ValueError(
                f"`indices` must be of modalities {self.modalities}. Received: {sorted(unknown)}"
            )
        zeros = ops.zeros((self.num_embeddings,))
        weights = sample_weight or {}
        columns = [
            quantization.code_counts(indices[modality], self.num_embeddings, weights.get(modality))
            if modality in indices
            else zeros
            for modality in self.modalities
        ]
        self.counts.assign_add(ops.cast(ops.stack(columns, axis=1), self.counts.dtype))

    def result(self):
        found = code_activation(ops.convert_to_tensor(self.counts))
        return {
            name: ops.sum(ops.cast(ops.equal(found, index), self.counts.dtype))
            for index, name in enumerate(ACTIVATIONS)
        }

    def get_config(self):
        config = {"num_embeddings": self.num_embeddings, "modalities": self.modalities}
        return {**super().get_config(), **config}
