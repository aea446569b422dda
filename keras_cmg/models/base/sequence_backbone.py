"""Backbone whose modalities are sequences of frames, with one codebook for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from keras_cmg.layers.map_attention import MapAttention
from keras_cmg.layers.seeds import derive_seed
from keras_cmg.layers.transformer_encoder import TransformerEncoder
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.models.base.configs import serialize_layers
from keras_cmg.models.base.feature_layers import build_all
from keras_cmg.ops.masking import mean_over_time, weights_like
from keras_cmg.types import Tensor

SEQUENCE = {"units": 256, "num_layers": 1, "num_heads": 4}
"""Arguments of `TransformerEncoder` where `general` does not give them."""


@keras.saving.register_keras_serializable("keras_cmg")
class SequenceBackbone(Backbone):
    """General encoders of any modalities, and one codebook for the frames of all.

    The backbone of most systems. Subclasses add specific encoders, a coarse level or another
    space, and inherit encoders, masks, presets and configuration.

    Training updates the codebook (`Codebook`); inference changes no state.

    Frames whose mask is zero are not attended to and do not count in averages and in the update of
    the codebook; they get features and codes all the same.

    Args:
        modalities: names, in the order in which they update the codebook.
        num_embeddings: number of codes, the paper's H.
        embedding_dim: width of general features and codes, the paper's D.
        use_masks: whether `<modality>_mask` of a batch is used; in the authors' code padding takes
            part.
        encoders: modality to Keras layer that replaces its general encoder: `(batch, frames, ...)`
            to `(batch, frames, embedding_dim)`.
        general: arguments of `TransformerEncoder`, for every modality.
        map_general: further arguments of `MapAttention`, for feature maps.
        quantizer: arguments of `Codebook`; or a layer with its call and `assign_codes`.
        seed: of the initial codes and of dropout.
        **kwargs: `frozen_layers`, see `Backbone`, and the arguments of every Keras model.

    Call arguments:
        inputs: dict of modality to features `(batch, frames, dim)` or `(batch, frames, height,
            width, channels)`, optionally `<modality>_mask` `(batch, frames)`, zero where a frame
            is padding, and zero throughout for a clip that lacks the modality; other entries are
            not used.
        training: whether dropout is active and the codebook is updated.

    Returns:
        Dict of dicts by modality: `"general"`, `"quantized"` and `"codes"`, `(batch, frames,
        dim)`; `"indices"`, `(batch, frames)`.

    Raises:
        ValueError: for an encoder of an unknown modality or of another width, a batch that misses a
            modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.SequenceBackbone(("audio", "text"), num_embeddings=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["quantized"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2, 7))
    """

    layer_arguments: ClassVar[tuple[str, ...]] = ("quantizer", "encoders")

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        use_masks: bool = True,
        encoders: Mapping[str, keras.Layer] | None = None,
        general: Mapping[str, Any] | None = None,
        map_general: Mapping[str, Any] | None = None,
        quantizer: keras.Layer | Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.use_masks = use_masks
        self.encoders = dict(encoders or {})
        self.check_names(encoders=self.encoders)
        self.general = dict(general or {})
        self.map_general = dict(map_general or {})
        self.seed = seed
        self.general_encoders: dict[str, keras.Layer] = {}
        self.set_quantizer(quantizer)

    def check_feature_shapes(self, shapes):
        for name, shape in shapes.items():
            if len(shape) not in (3, 5) and name not in self.encoders:
                raise ValueError(
                    f"Features of {name!r} must have shape (batch, frames, dim) or (batch, "
                    f"frames, height, width, channels). Received shape {shape}."
                )

    def build_layers(self) -> None:
        for name, shape in self.feature_shapes.items():
            self.general_encoders[name] = self.general_encoder(name, shape)
        build_all(self.general_encoders, self.feature_shapes)

    def encoder_units(self, name: str) -> int:
        """Returns the width of the output of a general encoder.

        Args:
            name: of the modality.

        Returns:
            `embedding_dim`, unless the encoder computes more than general features.

        Example:

        >>> keras_cmg.models.SimMMDGBackbone(("audio",), embedding_dim=8).encoder_units("audio")
        16
        """
        return self.embedding_dim

    def general_encoder(self, name: str, shape: Any) -> keras.Layer:
        """Returns the general encoder of a modality: the given one, or a new one.

        Args:
            name: of the modality.
            shape: of its features.

        Returns:
            A layer; a new one is not built.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone()
        >>> type(backbone.general_encoder("audio", (None, 10, 128))).__name__
        'TransformerEncoder'
        """
        if name in self.encoders:
            return self.encoders[name]
        arguments = {
            **SEQUENCE,
            **self.general,
            "units": self.encoder_units(name),
            "seed": derive_seed(name, self.seed),
            "dtype": self.dtype_policy,
            "name": f"{name}_general",
        }
        if len(shape) == 5:
            return MapAttention(**self.map_general, **arguments)
        return TransformerEncoder(**arguments)

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        general = self.encode_all(inputs, masks, training)
        return {"general": general, **self.assign_codes(general, masks, training)}

    def prepare_inputs(self, inputs: Any) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
        """Checks a batch, and sets frames that a mask leaves out to zero.

        Args:
            inputs: a batch.

        Returns:
            The batch, and its masks as from `frame_masks`.

        Raises:
            ValueError: as `check_batch` and `frame_masks`.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone(("audio",))
        >>> inputs, masks = backbone.prepare_inputs({"audio": np.zeros((2, 10, 128))})
        >>> list(inputs), masks
        (['audio'], {})
        """
        self.check_inputs(inputs)
        masks = self.frame_masks(inputs)
        return self.zero_masked_frames(inputs, masks), masks

    def frame_masks(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """Returns the frame masks of a batch.

        Args:
            inputs: a batch.

        Returns:
            Modality to `(batch, frames)`, for modalities with a mask: zero where a frame is
            padding, and zero throughout for a clip that lacks the modality. Empty with
            `use_masks=False`.

        Raises:
            ValueError: for a mask of another shape than its modality's clips and frames.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio", "text"))
        >>> sorted(backbone.frame_masks({"text_mask": np.ones((2, 7)), "labels": None}))
        ['text']
        """
        masks = {}
        for name in self.modalities if self.use_masks else ():
            mask = inputs.get(f"{name}_mask")
            if mask is None:
                continue
            masks[name] = ops.convert_to_tensor(mask)
            shape = tuple(masks[name].shape)
            expected = tuple(inputs[name].shape[:2]) if name in inputs else (None, None)
            sizes = zip(shape, expected, strict=False)
            if len(shape) != 2 or any(None not in pair and pair[0] != pair[1] for pair in sizes):
                raise ValueError(
                    f"`{name}_mask` must have shape (batch, frames), here {expected}. "
                    f"Received shape {shape}."
                )
        return masks

    def encode_all(
        self, inputs: Mapping[str, Any], masks: Mapping[str, Tensor], training: bool = False
    ) -> dict[str, Tensor]:
        """Computes the general features of every frame of all modalities.

        Args:
            inputs: a batch.
            masks: modality to `(batch, frames)`.
            training: whether dropout is active.

        Returns:
            Modality to float tensor `(batch, frames, dim)`.
        """
        return {
            name: self.encode_frames(name, inputs[name], masks.get(name), training)
            for name in self.modalities
        }

    def encode_frames(
        self, name: str, x: Tensor, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """Computes the general features of every frame of one modality.

        Args:
            name: of the modality.
            x: its features.
            mask: optional `(batch, frames)`.
            training: whether dropout is active.

        Returns:
            Float tensor `(batch, frames, dim)`.
        """
        layer = self.general_encoders[name]

        def encode(x: Tensor, mask: Tensor | None) -> Tensor:
            if name in self.encoders:
                found = layer(x, training=training)
                if len(found.shape) != 3 or found.shape[-1] != self.encoder_units(name):
                    raise ValueError(
                        f"The encoder of {name!r} must return features of shape (batch, frames, "
                        f"{self.encoder_units(name)}). Received shape {tuple(found.shape)}."
                    )
                return found
            return layer(x, frame_mask=mask, training=training)

        return self.in_chunks(encode, layer, (x, mask), training)

    def assign_codes(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor], training: bool
    ) -> dict[str, dict[str, Tensor]]:
        """Assigns codes to the features of all modalities; in training updates the codebook.

        Frames that are padding, and clips that lack a modality, get codes but do not count in the
        update.

        Args:
            features: modality to `(batch, [frames,] dim)`.
            masks: modality to `(batch, frames)`.
            training: whether the codebook is updated.

        Returns:
            `"quantized"`, `"codes"` and `"indices"`, each by modality.
        """
        weights = {name: weights_like(mask, features[name]) for name, mask in masks.items()}
        codes = self.quantizer(features, weights=weights, training=training)
        return {
            kind: {name: code[kind] for name, code in codes.items()}
            for kind in ("quantized", "codes", "indices")
        }

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        general = self.encode_frames(modality, x, mask)
        return general if level == "segment" else mean_over_time(general, mask)

    def get_config(self):
        names = "num_embeddings embedding_dim use_masks general map_general seed".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "encoders": serialize_layers(self.encoders),
        }
