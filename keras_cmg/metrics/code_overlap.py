"""The overlap of the modalities' code distributions."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.metrics.code_activation import CodeActivation
from keras_cmg.ops import code_identities


@keras.saving.register_keras_serializable("keras_cmg")
class CodeOverlap(CodeActivation):
    """Computes how much the code distributions of the modalities overlap.

    1 if all modalities use all codes equally often, 0 if no two modalities share a code.

    Args:
        num_embeddings: int, number of codes.
        modalities: names of the modalities, at least two.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        indices: dict of modality to int tensor of any shape; modalities may be missing.
        sample_weight: optional dict of modality to tensor of the shape of its indices, such as a
            mask; segments of weight 0 are not counted.

    Returns:
        Dict of scalars in [0, 1]: for each two modalities, named `"ONE_OTHER"`, the sum over codes
        of the smaller of their two shares; and `"mean"` of all pairs.

    Raises:
        ValueError: if `num_embeddings` is below 1, there are fewer than two modalities, or a
            modality is unknown.

    Example:

    >>> metric = keras_cmg.metrics.CodeOverlap(3, modalities=("audio", "text"))
    >>> metric.update_state({"audio": np.array([0, 0, 1, 1]), "text": np.array([1, 2])})
    >>> {name: float(share) for name, share in metric.result().items()}
    {'audio_text': 0.5, 'mean': 0.5}
    """

    def __init__(self, num_embeddings, modalities, name=None, dtype=None):
        super().__init__(num_embeddings, modalities, name=name, dtype=dtype)
        if len(self.modalities) < 2:
            raise ValueError(
                f"`modalities` must hold at least two names. Received: {self.modalities}"
            )

    def result(self):
        overlap = code_identities.code_overlap(ops.convert_to_tensor(self.counts))
        found = {
            f"{one}_{other}": overlap[row, column]
            for row, one in enumerate(self.modalities)
            for column, other in enumerate(self.modalities)
            if row < column
        }
        return {**found, "mean": ops.mean(ops.stack(list(found.values())))}
