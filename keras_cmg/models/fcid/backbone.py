"""Backbone of FCID: encoders of fine features in time and coarse features per clip, and codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras

from keras_cmg.layers.coarse_level import CoarseLevel
from keras_cmg.models.base.configs import serialize_layers
from keras_cmg.models.base.feature_layers import build_all, specific_encoder
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.models.fcid import presets
from keras_cmg.ops.contrastive import l2_normalize
from keras_cmg.ops.masking import mean_over_time


@keras.saving.register_keras_serializable("keras_cmg")
class FCIDBackbone(SequenceBackbone):
    """Backbone of Fine and Coarse cross-modal Information Disentangling.

    The frames of fine modalities (audio, video) are the seconds of a clip: each has a general
    encoder, which attends to the whole clip, and a specific one. Above them is a `CoarseLevel`:
    projectors, then general and specific encoders (dense, ReLU), shared by the fine modalities,
    one set for each other modality. The general coarse features of all modalities are quantised by
    one codebook.

    With `disentangle=False` there are general encoders alone, of all modalities. Their features, at
    unit length, take the place of the general coarse features, frame by frame.

    Training updates the codebook (`Codebook`); inference changes no state.

    Args:
        modalities: names, in the order in which they update the codebook.
        fine: those whose frames are the seconds of a clip; default all but text.
        quantize_level: `"clip"`, codes are learned on clips and applied to segments (the paper);
            `"segment"`, fine modalities are quantised per segment in training too. One modality
            alone is always quantised per segment.
        disentangle: whether there are specific encoders and a coarse level, as in the paper.
        specific_encoders: modality to layer that replaces its specific encoder, see
            `keras_cmg.layers.SequenceSpecificEncoder`.
        specific: arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`.
        **kwargs: the arguments of `SequenceBackbone`: `num_embeddings`, `embedding_dim`,
            `use_masks`, `encoders`, `general`, `map_general`, `quantizer`, `seed`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and the codebook is updated.

    Returns:
        Dict of dicts by modality: `"fine_general"` `(batch, frames, dim)`; `"fine_specific"` and
        `"fine_summary"` of the fine modalities; `"projected"`, `"coarse_general"`,
        `"coarse_specific"`, `"quantized"`, `"codes"`, each `(batch, dim)`, or `(batch, frames,
        dim)` where segments are quantised; `"indices"`. With `disentangle=False`, without specific
        and projected features, and with frames throughout.

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
    default_preset = "small"
    quantized_kind = "coarse_general"
    layer_arguments: ClassVar[tuple[str, ...]] = ("quantizer", "encoders", "specific_encoders")

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        fine: tuple[str, ...] | None = None,
        quantize_level: str = "clip",
        disentangle: bool = True,
        specific_encoders: Mapping[str, keras.Layer] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.coarse_level = CoarseLevel(
            self.modalities,
            fine,
            quantize_level,
            self.embedding_dim,
            specific=True,
            dtype=self.dtype_policy,
            name="coarse_level",
        )
        self.fine = self.coarse_level.fine
        self.quantize_level = quantize_level
        self.disentangle = disentangle
        self.specific_encoders = dict(specific_encoders or {})
        self.check_names(specific_encoders=self.specific_encoders)
        self.specific = dict(specific or {})
        self.map_specific = dict(map_specific or {})
        self.fine_specific_encoders: dict[str, Any] = {}

    def trained_level(self, modality):
        if not self.disentangle:
            return "segment"
        return "segment" if self.coarse_level.keeps_frames(modality) else "clip"

    def build_layers(self):
        for name, shape in self.feature_shapes.items():
            self.general_encoders[name] = self.general_encoder(name, shape)
            if name in self.fine and self.disentangle:
                self.fine_specific_encoders[name] = self._specific_encoder(name, shape)
        build_all(self.general_encoders, self.feature_shapes)
        if not self.disentangle:
            return
        build_all(self.fine_specific_encoders, self.feature_shapes)
        frames = (None, None, self.embedding_dim)
        self.coarse_level.build(dict.fromkeys(self.modalities, frames))

    def _specific_encoder(self, name, shape):
        if name in self.specific_encoders:
            return self.specific_encoders[name]
        return specific_encoder(
            shape,
            self.specific,
            self.map_specific,
            dtype=self.dtype_policy,
            name=f"{name}_specific",
        )

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        general = self.encode_all(inputs, masks, training)
        if not self.disentangle:
            unit = {name: l2_normalize(x) for name, x in general.items()}
            codes = self.assign_codes(unit, masks, training)
            return {"fine_general": general, "coarse_general": unit, **codes}
        coarse = self.coarse_level(general, frame_masks=masks)
        encoders = self.fine_specific_encoders
        specific = {
            name: self.in_chunks(encoder, encoder, (inputs[name],), training)
            for name, encoder in encoders.items()
        }
        return {
            "fine_general": general,
            "fine_specific": specific,
            "fine_summary": {name: encoders[name].summarize(x) for name, x in specific.items()},
            **coarse,
            **self.assign_codes(coarse["coarse_general"], masks, training),
        }

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        frames = self.encode_frames(modality, x, mask)
        if not self.disentangle:
            frames = l2_normalize(frames)
            return frames if level == "segment" else l2_normalize(mean_over_time(frames, mask))
        return self.coarse_level.general_features(modality, frames, level, mask)

    def get_config(self):
        names = "fine quantize_level disentangle specific map_specific".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "specific_encoders": serialize_layers(self.specific_encoders),
        }
