"""The share of segments on codes of one modality, of several, and of all."""

from __future__ import annotations

import keras

from keras_cmg.metrics.code_activation import CodeActivation
from keras_cmg.ops.code_activation import ACTIVATIONS
from keras_cmg.ops.code_identities import activation_shares


@keras.saving.register_keras_serializable("keras_cmg")
class CodeSegmentShares(CodeActivation):
    """Computes the share of segments whose code is used by one modality, by several, or by all.

    `CodeActivation` counts codes; this counts segments, so that codes in frequent use weigh more.

    Args:
        num_embeddings: int, number of codes.
        modalities: names of the modalities.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        indices: dict of modality to int tensor of any shape; modalities may be missing.
        sample_weight: optional dict of modality to tensor of the shape of its indices, such as a
            mask; segments of weight 0 are not counted.

    Returns:
        Dict of scalars in [0, 1] that sum to one: `"specific"`, one modality has more than 95 % of
        the code's use; `"shared"`, every modality has at least 5 %; `"partial"`, neither.

    Raises:
        ValueError: if `num_embeddings` is below 1, or a modality is unknown.

    Example:

    >>> metric = keras_cmg.metrics.CodeSegmentShares(3, modalities=("audio", "text"))
    >>> metric.update_state({"audio": np.array([0, 0, 1]), "text": np.array([1])})
    >>> {name: float(share) for name, share in metric.result().items()}
    {'specific': 0.5, 'partial': 0.0, 'shared': 0.5}
    """

    def result(self):
        shares = activation_shares(keras.ops.convert_to_tensor(self.counts))
        return {name: shares[index] for index, name in enumerate(ACTIVATIONS) if name != "unused"}
