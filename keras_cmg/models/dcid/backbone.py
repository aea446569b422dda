"""DCID's encoders and codebook: every modality a sequence, one code per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.map_specific_encoder import MapSpecificEncoder
from keras_cmg.layers.sequence_specific_encoder import SequenceSpecificEncoder
from keras_cmg.layers.stacked_bilstm import StackedBiLSTM
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.models.dcid import presets as dcid_presets
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class DCIDBackbone(SequenceBackbone):
    """Dual Cross-modal Information Disentangling: the part that is kept.

    Each modality has a general encoder, whose features meet frame by frame in one codebook, and a
    specific one. Words are first read by a bidirectional LSTM.

    Training updates the codebook (`Codebook`); inference leaves all state alone.

    Args:
        modalities: names, in the order in which they update the codebook.
        recurrent: modality to arguments of `StackedBiLSTM`, for those that pass one first.
        specific: modality to arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`.
        **kwargs: the arguments of `SequenceBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout acts and the codebook moves.

    Returns:
        Dict of dicts by modality: `"input"`, what is encoded and rebuilt; `"general"`,
        `"quantized"` and `"codes"`, `(batch, frames, dim)`; `"specific"`; `"summary"`,
        `(batch, frames, summary_dim)`; `"indices"`, `(batch, frames)`.

    Raises:
        ValueError: for a batch that misses a modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.DCIDBackbone.from_preset("small", modalities=("audio", "text"))
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 10, 64))})
    >>> tuple(features["quantized"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2, 10))

    References:
        Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation (the encoders of the DCID module, and MM-EMA).
    """

    presets = dcid_presets.PRESETS

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        recurrent: Mapping[str, Any] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.settings = {
            **self.settings,
            "recurrent": {name: value for name, value in (recurrent or {}).items() if value},
            "specific": dict(specific or {}),
            "map_specific": dict(map_specific or {}),
        }

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.set_feature_shapes(input_shape)
        self.contexts, self.encoders, self.specific_encoders = {}, {}, {}
        for name, shape in self.feature_shapes.items():
            if name in self.settings["recurrent"]:
                self.contexts[name] = StackedBiLSTM(
                    dtype=self.dtype_policy,
                    name=f"{name}_context",
                    **self.settings["recurrent"][name],
                )
                self.contexts[name].build(shape)
            shape = self.encoded_shape(name)
            self.encoders[name] = self.given_encoders.get(name) or self.general_encoder(name, shape)
            if not self.encoders[name].built:
                self.encoders[name].build(shape)
            self.specific_encoders[name] = self._specific(name, shape)
            self.specific_encoders[name].build(shape)
        self.quantizer.build()
        self.built = True

    def encoded_shape(self, modality: str) -> tuple[int | None, ...]:
        """Shape of what a modality's encoders see, and its decoder rebuilds.

        Args:
            modality: its name.

        Returns:
            `(None, frames, ...)`.

        Example:

        >>> backbone = keras_cmg.models.DCIDBackbone.from_preset("small", modalities=("text",))
        >>> backbone.build({"text": (None, 10, 64)})
        >>> backbone.encoded_shape("text")
        (None, 10, 64)
        """
        shape = self.feature_shapes[modality]
        context = self.contexts.get(modality)
        return shape if context is None else context.compute_output_shape(shape)

    def _specific(self, name, shape):
        arguments = {"dtype": self.dtype_policy, "name": f"{name}_specific"}
        if len(shape) == 5:
            return MapSpecificEncoder(**self.settings["map_specific"], **arguments)
        return SequenceSpecificEncoder(**self.settings["specific"].get(name, {}), **arguments)

    def call(self, inputs, training=False):
        self.check_inputs(inputs)
        masks = self.frame_masks(inputs)
        features: dict[str, dict[str, Tensor]] = {
            kind: {} for kind in ("input", "general", "specific", "summary")
        }
        for name in self.modalities:
            x = self._in_context(name, inputs[name], masks.get(name))
            specific = self.specific_encoders[name](x)
            features["input"][name] = x
            features["general"][name] = self.encode_frames(name, x, masks.get(name), training)
            features["specific"][name] = specific
            features["summary"][name] = self.specific_encoders[name].summarize(specific)
        return {**features, **self.assign_codes(features["general"], masks, training)}

    def _in_context(self, name, x, mask):
        if name not in self.contexts:
            return ops.convert_to_tensor(x)
        return self.contexts[name](x, frame_mask=mask)

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        return super().general_features(modality, self._in_context(modality, x, mask), level, mask)
