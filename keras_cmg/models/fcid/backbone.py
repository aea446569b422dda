"""FCID's encoders and codebook: fine features in time, coarse features per clip, shared codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.map_specific_encoder import MapSpecificEncoder
from keras_cmg.layers.sequence_specific_encoder import SequenceSpecificEncoder
from keras_cmg.models.base.fine_coarse_backbone import FineCoarseBackbone
from keras_cmg.models.fcid import presets
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class FCIDBackbone(FineCoarseBackbone):
    """Fine and Coarse cross-modal Information Disentangling: the part that is kept.

    Fine modalities (audio, video) run in step with the seconds of a clip: each has a general
    encoder, which sees the whole clip, and a specific one. Coarse level: projectors, then general
    and specific encoders (dense, ReLU), shared by the fine modalities, one set for each other
    modality. The general coarse features meet in one codebook.

    Training updates the codebook (`Codebook`); inference leaves all state alone.

    Args:
        modalities: names, in the order in which they update the codebook.
        specific_encoders: modality to layer in the place of the specific encoder, see
            `keras_cmg.layers.sequence_specific_encoder`.
        specific: arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`.
        **kwargs: the arguments of `FineCoarseBackbone` and `SequenceBackbone`: `fine`,
            `quantize_level`, `num_embeddings`, `embedding_dim`, `use_masks`, `encoders`, `general`,
            `map_general`, `codebook`, `seed`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout acts and the codebook moves.

    Returns:
        Dict of dicts by modality: `"fine_general"` `(batch, frames, dim)`; `"fine_specific"` and
        `"fine_summary"` of the fine modalities; `"projected"`, `"coarse_general"`,
        `"coarse_specific"`, `"quantized"`, `"codes"`, each `(batch, dim)`, or `(batch, frames,
        dim)` where segments are quantised; `"indices"`.

    Raises:
        ValueError: for unknown modalities in `fine`, an unknown level, a batch that misses a
            modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio", "text"))
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["fine_general"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2,))

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1 and Eqs. 5-19.
    """

    presets = presets.PRESETS
    coarse_kinds = ("coarse_general", "coarse_specific")

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        specific_encoders: Mapping[str, keras.Layer] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.settings = {
            **self.settings,
            "specific": dict(specific or {}),
            "map_specific": dict(map_specific or {}),
        }
        self.given_specific_encoders = dict(specific_encoders or {})

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.specific_encoders: dict[str, keras.Layer] = {}
        super().build(input_shape)

    def add_modality(self, name):
        super().add_modality(name)
        if name in self.fine:
            self.specific_encoders[name] = self.given_specific_encoders.get(name) or self._specific(
                name, self.feature_shapes[name]
            )

    def build_rest(self):
        for name, layer in self.specific_encoders.items():
            if not layer.built:
                layer.build(self.feature_shapes[name])
        super().build_rest()

    def _specific(self, name, shape):
        arguments = {"dtype": self.dtype_policy, "name": f"{name}_specific"}
        if len(shape) == 5:
            return MapSpecificEncoder(**self.settings["map_specific"], **arguments)
        return SequenceSpecificEncoder(**self.settings["specific"], **arguments)

    def call(self, inputs, training=False):
        features = super().call(inputs, training=training)
        specific: dict[str, Tensor] = {
            name: encoder(inputs[name]) for name, encoder in self.specific_encoders.items()
        }
        summary = {name: self.specific_encoders[name].summarize(x) for name, x in specific.items()}
        return {**features, "fine_specific": specific, "fine_summary": summary}

    def get_config(self):
        specific = {
            name: keras.saving.serialize_keras_object(layer)
            for name, layer in self.given_specific_encoders.items()
        }
        return {**super().get_config(), "specific_encoders": specific}
