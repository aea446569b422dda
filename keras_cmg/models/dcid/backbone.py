"""Backbone of DCID: every modality a sequence, one code per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.batch_norm_map_encoder import BatchNormMapEncoder
from keras_cmg.layers.stacked_bilstm import StackedBiLSTM
from keras_cmg.models.base.feature_layers import specific_encoder
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.models.dcid import presets
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class DCIDBackbone(SequenceBackbone):
    """Backbone of Dual Cross-modal Information Disentangling.

    Each modality has a general encoder, whose features are quantised frame by frame by one
    codebook, and a specific encoder. Text first passes a bidirectional LSTM.

    Training updates the codebook (`Codebook`) and the statistics of `BatchNormMapEncoder`;
    inference changes no state.

    Args:
        modalities: names, in the order in which they update the codebook.
        recurrent: modality to arguments of `StackedBiLSTM`, for those that pass one before
            their encoders.
        specific: modality to arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`, or, with `"batch_norm"` true among them, of
            `BatchNormMapEncoder`, which reads the map after the channel attention of the general
            encoder.
        **kwargs: the arguments of `SequenceBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and the codebook is updated.

    Returns:
        Dict of dicts by modality: `"input"`, what is encoded and reconstructed; `"general"`,
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

    presets = presets.PRESETS

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        recurrent: Mapping[str, Any] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.recurrent = {name: value for name, value in (recurrent or {}).items() if value}
        self.specific = dict(specific or {})
        self.map_specific = dict(map_specific or {})
        self.contexts: dict[str, Any] = {}
        self.specific_encoders: dict[str, Any] = {}

    def build_layers(self):
        for name, shape in self.feature_shapes.items():
            if name in self.recurrent:
                self.contexts[name] = StackedBiLSTM(
                    dtype=self.dtype_policy, name=f"{name}_context", **self.recurrent[name]
                )
                self.contexts[name].build(shape)
            shape = self.encoded_shape(name)
            self.general_encoders[name] = self.general_encoder(name, shape)
            if not self.general_encoders[name].built:
                self.general_encoders[name].build(shape)
            self.specific_encoders[name] = specific_encoder(
                shape,
                self.specific.get(name, {}),
                self.map_specific,
                dtype=self.dtype_policy,
                name=f"{name}_specific",
            )
            self.specific_encoders[name].build(shape)

    def encoded_shape(self, modality: str) -> tuple[int | None, ...]:
        """Returns the shape of a modality's input to its encoders, which its decoder reconstructs.

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

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        features: dict[str, dict[str, Tensor]] = {
            kind: {} for kind in ("input", "general", "specific", "summary")
        }
        for name in self.modalities:
            x = self._in_context(name, inputs[name], masks.get(name))
            specific = self._specific_features(name, x, masks.get(name), training)
            features["input"][name] = x
            features["general"][name] = self.encode_frames(name, x, masks.get(name), training)
            features["specific"][name] = specific
            features["summary"][name] = self.specific_encoders[name].summarize(specific)
        return {**features, **self.assign_codes(features["general"], masks, training)}

    def _specific_features(self, name, x, mask, training):
        encoder = self.specific_encoders[name]
        if not isinstance(encoder, BatchNormMapEncoder):
            return encoder(x)
        # It reads the map after the channel attention of the general encoder.
        pooling = getattr(self.general_encoders[name], "map_pooling", None)
        x = x if pooling is None else pooling.gate(x)
        return encoder(x, frame_mask=mask, training=training)

    def _in_context(self, name, x, mask):
        if name not in self.contexts:
            return ops.convert_to_tensor(x)
        return self.contexts[name](x, frame_mask=mask)

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        return super().general_features(modality, self._in_context(modality, x, mask), level, mask)

    def get_config(self):
        names = "recurrent specific map_specific".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
