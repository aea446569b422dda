"""Backbone of AHA: residual codes of one modality, whose first levels all modalities share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from keras_cmg.layers.precision import variable_dtype
from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.residual_quantizer import ResidualQuantizer
from keras_cmg.models.aha import presets
from keras_cmg.models.base.configs import is_serialized, serialize_layer
from keras_cmg.models.base.feature_layers import specific_encoder
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.ops.masking import weights_like

ANCHOR = "audio"


@keras.saving.register_keras_serializable("keras_cmg")
class AHABackbone(SequenceBackbone):
    """Backbone of Asymmetric Hierarchical Anchoring.

    The anchor's general features are quantised by `num_levels` levels of residual codes. The first
    `num_shared_levels` are shared: they quantise all modalities, and are what `encode` returns. The
    further levels are the anchor's own and describe what is specific to it. Each other modality has
    a specific encoder instead.

    Training updates the codebooks from the anchor's features alone; inference changes no state.

    Masks: as in `SequenceBackbone`; clips without the anchor update no codebook.

    Args:
        modalities: names.
        anchor: the modality that makes the codes; default `"audio"`, or the first modality where
            there is none.
        num_levels: levels of codes of the anchor.
        num_shared_levels: the first of them, which all modalities share.
        specific: modality to arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`.
        quantizer: of the shared levels, as for `SequenceBackbone`; arguments are those of the
            `Codebook` of every level.
        specific_quantizer: of the anchor's own levels, likewise.
        **kwargs: the arguments of `SequenceBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and the codebooks are updated.

    Returns:
        As `SequenceBackbone`, and by modality `"specific"`, of the anchor the sum of the codes of
        its own levels, and `"summary"`, `(batch, frames, dim)`; `"residual"` and
        `"residual_codes"`, of the anchor alone.

    Raises:
        ValueError: for an unknown `anchor`, an anchor whose features are maps, numbers of levels
            other than `1 <= num_shared_levels < num_levels`, or an `AlignedCodebook`.

    Example:

    >>> backbone = keras_cmg.models.AHABackbone.from_preset("small", modalities=("audio", "text"))
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 10, 64))})
    >>> backbone.anchor, tuple(features["indices"]["text"].shape)
    ('audio', (2, 10))
    >>> tuple(features["specific"]["audio"].shape), tuple(features["specific"]["text"].shape)
    ((2, 10, 256), (2, 10, 64))

    References:
        Wu et al. (2026), Asymmetric Hierarchical Anchoring for Audio-Visual Joint Representation.
    """

    presets = presets.PRESETS
    layer_arguments: ClassVar[tuple[str, ...]] = ("quantizer", "specific_quantizer", "encoders")

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        anchor: str | None = None,
        num_levels: int = 4,
        num_shared_levels: int = 1,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        specific_quantizer: keras.Layer | Mapping[str, Any] | None = None,
        **kwargs,
    ):
        modalities = tuple(modalities)
        if anchor is None:
            anchor = ANCHOR if ANCHOR in modalities else next(iter(modalities), None)
        if anchor not in modalities:
            raise ValueError(f"`anchor` must be one of {modalities}. Received: {anchor!r}")
        if not 1 <= num_shared_levels < num_levels:
            raise ValueError(
                "`num_shared_levels` must be from 1 to `num_levels` - 1. "
                f"Received: {num_shared_levels} of {num_levels}"
            )
        # The quantiser depends on them.
        self.num_levels = num_levels
        self.num_shared_levels = num_shared_levels
        super().__init__(modalities, **kwargs)
        self.anchor = anchor
        self.specific = dict(specific or {})
        self.map_specific = dict(map_specific or {})
        if not isinstance(specific_quantizer, keras.Layer):
            numbers = range(num_shared_levels, num_levels)
            specific_quantizer = self._levels(numbers, specific_quantizer, "specific_codebook")
        self.specific_quantizer: Any = specific_quantizer
        self.specific_encoders: dict[str, Any] = {}

    def _levels(self, numbers, arguments, name):
        """Codebooks of some levels; a single one is not wrapped."""
        codebooks = [
            Codebook(
                self.num_embeddings,
                self.embedding_dim,
                **{
                    "seed": self.seed + number,
                    "dtype": self.dtype_policy,
                    "name": name if len(numbers) == 1 else f"{name}_{number}",
                    **(arguments or {}),
                },
            )
            for number in numbers
        ]
        if len(codebooks) == 1:
            return codebooks[0]
        return ResidualQuantizer(codebooks, dtype=self.dtype_policy, name=name)

    def set_quantizer(self, quantizer):
        if not (isinstance(quantizer, keras.Layer) or is_serialized(quantizer)):
            quantizer = self._levels(range(self.num_shared_levels), quantizer, "codebook")
        super().set_quantizer(quantizer)
        self.require_shared_codes()

    def build_layers(self):
        if len(self.feature_shapes[self.anchor]) != 3:
            raise ValueError(
                "`anchor` must name a modality of sequences (batch, frames, dim). "
                f"Received: {self.anchor!r} of shape {self.feature_shapes[self.anchor]}"
            )
        super().build_layers()
        for name, shape in self.feature_shapes.items():
            if name == self.anchor:
                continue
            self.specific_encoders[name] = specific_encoder(
                shape,
                self.specific.get(name, {}),
                self.map_specific,
                dtype=self.dtype_policy,
                name=f"{name}_specific",
            )
            self.specific_encoders[name].build(shape)
        if not self.specific_quantizer.built:
            self.specific_quantizer.build()

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        general = self.encode_all(inputs, masks, training)
        features = {"general": general, **self.assign_codes(general, masks, training)}
        specific = {
            name: self.in_chunks(layer, layer, (inputs[name],), training)
            for name, layer in self.specific_encoders.items()
        }
        summary = {name: self.specific_encoders[name].summarize(x) for name, x in specific.items()}
        anchor = self.anchor
        residual = ops.cast(general[anchor], variable_dtype(self.dtype_policy))
        residual = residual - features["codes"][anchor]
        own = self.specific_quantizer(residual, weights=masks.get(anchor), training=training)
        specific[anchor] = summary[anchor] = own["quantized"]
        return {
            **features,
            "specific": {name: specific[name] for name in self.modalities},
            "summary": {name: summary[name] for name in self.modalities},
            "residual": {anchor: residual},
            "residual_codes": {anchor: own["codes"]},
        }

    def assign_codes(self, features, masks, training):
        """Assigns shared codes to the features of all modalities; in training the anchor's move.

        Args:
            features: modality to `(batch, frames, dim)`.
            masks: modality to `(batch, frames)`.
            training: whether the codebooks are updated.

        Returns:
            `"quantized"`, `"codes"` and `"indices"`, each by modality.
        """
        weights = {name: ops.zeros(ops.shape(x)[:-1]) for name, x in features.items()}
        if self.anchor in masks:
            weights[self.anchor] = weights_like(masks[self.anchor], features[self.anchor])
        else:
            del weights[self.anchor]
        codes = self.quantizer(features, weights=weights, training=training)
        return {
            kind: {name: code[kind] for name, code in codes.items()}
            for kind in ("quantized", "codes", "indices")
        }

    def get_config(self):
        names = "anchor num_levels num_shared_levels specific map_specific".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "specific_quantizer": serialize_layer(self.specific_quantizer),
        }
