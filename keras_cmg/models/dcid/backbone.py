"""Backbone of DCID and H-DCID: every modality a sequence, one or two codes per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.batch_norm_map_encoder import BatchNormMapEncoder
from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.grouped_quantizer import GroupedQuantizer
from keras_cmg.layers.second_level import SecondLevel
from keras_cmg.layers.stacked_bilstm import StackedBiLSTM
from keras_cmg.models.base.configs import is_serialized
from keras_cmg.models.base.feature_layers import specific_encoder
from keras_cmg.models.base.sequence_backbone import SEQUENCE, SequenceBackbone
from keras_cmg.models.dcid import presets
from keras_cmg.ops.masking import mean_over_time
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class DCIDBackbone(SequenceBackbone):
    """Backbone of Dual Cross-modal Information Disentangling.

    Each modality has a general encoder, whose features are quantised frame by frame by one
    codebook, and a specific encoder. Text first passes a bidirectional LSTM.

    With `second_level` (H-DCID) a `SecondLevel` encodes the specific features again, and a codebook
    of its own quantises its general features. `encode` then returns both levels side by side, in
    this order: features and codes of twice `embedding_dim`, and two indices per vector.

    Training updates the codebook (`Codebook`) and the statistics of `BatchNormMapEncoder`;
    inference changes no state.

    Args:
        modalities: names, in the order in which they update the codebook.
        second_level: whether there is a second level.
        recurrent: modality to arguments of `StackedBiLSTM`, for those that pass one before
            their encoders.
        specific: modality to arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`, or, with `"batch_norm"` true among them, of
            `BatchNormMapEncoder`, which reads the map after the channel attention of the general
            encoder.
        quantizer: as for `SequenceBackbone`; with `second_level` the arguments of both codebooks,
            or a `GroupedQuantizer` of two groups of `embedding_dim` channels.
        **kwargs: the arguments of `SequenceBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and the codebook is updated.

    Returns:
        Dict of dicts by modality: `"input"`, what is encoded and reconstructed; `"general"`,
        `"quantized"` and `"codes"`, `(batch, frames, dim)`; `"specific"`; `"summary"`,
        `(batch, frames, summary_dim)`; `"indices"`, `(batch, frames)`. With `second_level` also
        `"second_general"`, `"second_specific"`, `"second_quantized"`, `"second_codes"` and
        `"second_indices"`.

    Raises:
        ValueError: for a quantiser of another number of groups than levels, a batch that misses a
            modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.DCIDBackbone.from_preset("small", modalities=("audio", "text"))
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 10, 64))})
    >>> tuple(features["quantized"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2, 10))

    References:
        Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation (the encoders of the DCID module, and MM-EMA); Xia et al. (2024), the first
        version of the extension of that paper (H-DCID).
    """

    presets = presets.PRESETS

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        second_level: bool = False,
        recurrent: Mapping[str, Any] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        # The quantiser depends on it.
        self.second_level = second_level
        super().__init__(modalities, **kwargs)
        self.recurrent = {name: value for name, value in (recurrent or {}).items() if value}
        self.specific = dict(specific or {})
        self.map_specific = dict(map_specific or {})
        self.contexts: dict[str, Any] = {}
        self.specific_encoders: dict[str, Any] = {}
        if second_level:
            self.second = SecondLevel(
                self.embedding_dim,
                {**SEQUENCE, **self.general},
                seed=self.seed,
                dtype=self.dtype_policy,
                name="second_level",
            )

    @property
    def general_dim(self) -> int:
        """Width of `"general"`, as `encode` returns it: that of all levels."""
        return (2 if self.second_level else 1) * self.embedding_dim

    @property
    def quantized_dim(self) -> int:
        """Width of `"quantized"` of a call: that of the first level."""
        return self.code_dim // (2 if self.second_level else 1)

    def set_quantizer(self, quantizer):
        if self.second_level and not (
            isinstance(quantizer, keras.Layer) or is_serialized(quantizer)
        ):
            quantizer = GroupedQuantizer(
                [
                    Codebook(
                        self.num_embeddings,
                        self.embedding_dim,
                        **{
                            "seed": self.seed + level,
                            "dtype": self.dtype_policy,
                            "name": f"codebook_{level}",
                            **(quantizer or {}),
                        },
                    )
                    for level in range(2)
                ],
                dtype=self.dtype_policy,
                name="codebook",
            )
        super().set_quantizer(quantizer)
        if self.second_level and getattr(self.quantizer, "num_groups", None) != 2:
            raise ValueError(
                "`quantizer` must have two groups, one for each level. "
                f"Received: {type(self.quantizer).__name__}"
            )

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
        if self.second_level:
            encoders = self.specific_encoders
            self.second.build(
                {m: encoders[m].summary_shape(self.encoded_shape(m)) for m in self.modalities}
            )

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
        if self.second_level:
            features |= self.second(features["summary"], frame_masks=masks, training=training)
        return {**features, **self.assign_codes(features, masks, training)}

    def assign_codes(self, features, masks, training):
        """Assigns codes to the general features of each level; in training updates the codebooks.

        Args:
            features: `"general"` and, with `second_level`, `"second_general"`, each by modality.
            masks: modality to `(batch, frames)`.
            training: whether the codebooks are updated.

        Returns:
            `"quantized"`, `"codes"` and `"indices"`, each by modality; those of the second level
            with the prefix `"second_"`.
        """
        if not self.second_level:
            return super().assign_codes(features["general"], masks, training)
        found: dict[str, dict[str, Tensor]] = {}
        for number, prefix in enumerate(("", "second_")):
            # Each codebook is called by itself, with all that it does in a call.
            codes = self.quantizer.part(number)(
                features[f"{prefix}general"], weights=masks, training=training
            )
            found |= {
                f"{prefix}{kind}": {name: code[kind] for name, code in codes.items()}
                for kind in ("quantized", "codes", "indices")
            }
        return found

    def _specific_features(self, name, x, mask, training):
        encoder = self.specific_encoders[name]
        if not isinstance(encoder, BatchNormMapEncoder):
            return self.in_chunks(encoder, encoder, (x,), training)
        # Batch normalisation takes the whole batch, whatever `batch_chunks` is. This encoder reads
        # the map after the channel attention of the general encoder.
        pooling = getattr(self.general_encoders[name], "map_pooling", None)
        x = x if pooling is None else pooling.gate(x)
        return encoder(x, frame_mask=mask, training=training)

    def _in_context(self, name, x, mask):
        if name not in self.contexts:
            return ops.convert_to_tensor(x)
        return self.contexts[name](x, frame_mask=mask)

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        x = self._in_context(modality, x, mask)
        if not self.second_level:
            return super().general_features(modality, x, level, mask)
        specific = self._specific_features(modality, x, mask, False)
        summary = self.specific_encoders[modality].summarize(specific)
        levels = (
            self.encode_frames(modality, x, mask),
            self.second.encode_general(modality, summary, mask),
        )
        general = ops.concatenate(levels, axis=-1)
        return general if level == "segment" else mean_over_time(general, mask)

    def get_config(self):
        names = "second_level recurrent specific map_specific".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
