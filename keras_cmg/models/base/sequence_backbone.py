"""Every modality a sequence: general encoders whose frames meet in one codebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.map_attention import MapAttention
from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.seeds import derive_seed
from keras_cmg.layers.transformer_encoder import TransformerEncoder
from keras_cmg.models.base.backbone import CrossModalBackbone
from keras_cmg.ops.masking import mean_over_time, weights_like
from keras_cmg.types import Tensor

SEQUENCE = {"units": 256, "num_layers": 1, "num_heads": 4}
"""Arguments of `TransformerEncoder` where nothing else is said."""


@keras.saving.register_keras_serializable("keras_cmg")
class SequenceBackbone(CrossModalBackbone):
    """General encoders of any modalities and one codebook for the frames of all.

    The part that is kept of most systems. Subclasses add specific encoders, a coarse level or
    another space, and reuse encoders, masks, presets and configuration.

    Training updates the codebook (`Codebook`); inference leaves all state alone.

    Args:
        modalities: names, in the order in which they update the codebook.
        num_embeddings: number of codes, the paper's H.
        embedding_dim: width of general features and codes, the paper's D.
        use_masks: honour `<modality>_mask` in a batch; the authors' code lets padding take part.
        encoders: modality to Keras layer that takes the place of the general encoder:
            `(batch, frames, ...)` to `(batch, frames, embedding_dim)`.
        general: arguments of `TransformerEncoder`, for every modality.
        map_general: further arguments of `MapAttention`, for feature maps.
        codebook: arguments of `Codebook`.
        seed: of the initial codes and of dropout.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: dict of modality to features `(batch, frames, dim)` or `(batch, frames, height,
            width, channels)`, optionally `<modality>_mask` `(batch, frames)`, zero where a frame
            is padding, and zero throughout for a clip that lacks the modality; other keys are
            left alone.
        training: whether dropout acts and the codebook moves.

    Returns:
        Dict of dicts by modality: `"general"`, `"quantized"` and `"codes"`, `(batch, frames,
        dim)`; `"indices"`, `(batch, frames)`.

    Raises:
        ValueError: for a batch that misses a modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.SequenceBackbone(("audio", "text"), num_embeddings=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["quantized"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2, 7))
    """

    quantized_kind = "general"
    """Which of its features training quantises."""

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        use_masks: bool = True,
        encoders: Mapping[str, keras.Layer] | None = None,
        general: Mapping[str, Any] | None = None,
        map_general: Mapping[str, Any] | None = None,
        codebook: Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.use_masks = use_masks
        self.settings = {
            "general": dict(general or {}),
            "map_general": dict(map_general or {}),
            "codebook": dict(codebook or {}),
        }
        self.seed = seed
        self.given_encoders = dict(encoders or {})
        self.quantizer = self.make_quantizer()

    def make_quantizer(self) -> Any:
        """The layer that turns features into codes; None for a system without codes.

        Returns:
            A layer with the methods of `Codebook` that a backbone uses: a call and `assign_codes`.

        Example:

        >>> type(keras_cmg.models.SequenceBackbone(num_embeddings=8).quantizer).__name__
        'Codebook'
        """
        return Codebook(
            self.num_embeddings,
            self.embedding_dim,
            seed=self.seed,
            dtype=self.dtype_policy,
            name="codebook",
            **self.settings["codebook"],
        )

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.set_feature_shapes(input_shape)
        self.encoders: dict[str, keras.Layer] = {}
        for name in self.modalities:
            self.add_modality(name)
        for name, layer in self.encoders.items():
            if not layer.built:
                layer.build(self.feature_shapes[name])
        self.build_rest()
        if self.quantizer is not None:
            self.quantizer.build()
        self.built = True

    def set_feature_shapes(self, input_shape: Mapping[str, Any]) -> None:
        """Keeps the shapes of all modalities, without a batch size: the next may have another.

        Args:
            input_shape: modality to shape.

        Raises:
            ValueError: as `check_batch`, or for features that no encoder here takes.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone(("audio",))
        >>> backbone.set_feature_shapes({"audio": (4, 10, 128)})
        >>> backbone.feature_shapes
        {'audio': (None, 10, 128)}
        """
        self.check_batch(input_shape)
        for name in self.modalities:
            # Before anything is kept: a refused batch leaves the backbone as it was.
            if len(input_shape[name]) not in (3, 5) and name not in self.given_encoders:
                raise ValueError(
                    f"Features of {name!r} must have shape (batch, frames, dim) or (batch, "
                    f"frames, height, width, channels). Received shape {tuple(input_shape[name])}."
                )
        self.feature_shapes = {m: (None, *tuple(input_shape[m])[1:]) for m in self.modalities}

    def add_modality(self, name: str) -> None:
        """Makes the layers of one modality; `build` builds them when all are made.

        Args:
            name: of the modality.
        """
        self.encoders[name] = self.given_encoders.get(name) or self.general_encoder(
            name, self.feature_shapes[name]
        )

    def build_rest(self) -> None:
        """Makes and builds what a subclass has beyond encoders and codebook."""

    def general_encoder(self, name: str, shape: Any, units: int | None = None) -> keras.Layer:
        """A new general encoder, for a sequence or for feature maps.

        Args:
            name: of the modality.
            shape: of its features.
            units: width of the output; default `embedding_dim`.

        Returns:
            A layer, not built.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone()
        >>> type(backbone.general_encoder("audio", (None, 10, 128))).__name__
        'TransformerEncoder'
        """
        arguments = {
            **SEQUENCE,
            **self.settings["general"],
            "units": units or self.embedding_dim,
            "seed": derive_seed(name, self.seed),
            "dtype": self.dtype_policy,
            "name": f"{name}_general",
        }
        if len(shape) == 5:
            return MapAttention(**self.settings["map_general"], **arguments)
        return TransformerEncoder(**arguments)

    def call(self, inputs, training=False):
        self.check_inputs(inputs)
        masks = self.frame_masks(inputs)
        general = {
            name: self.encode_frames(name, inputs[name], masks.get(name), training)
            for name in self.modalities
        }
        return {"general": general, **self.assign_codes(general, masks, training)}

    def check_inputs(self, inputs: Any) -> None:
        """Refuses what is no batch of this backbone's modalities.

        Args:
            inputs: a batch.

        Raises:
            ValueError: as `check_batch`.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone(("audio",))
        >>> backbone.check_inputs({"audio": np.zeros((2, 10, 128))})
        """
        is_batch = isinstance(inputs, Mapping)
        self.check_batch(
            {m: inputs[m].shape for m in self.modalities if m in inputs} if is_batch else inputs
        )

    def encode_frames(
        self, name: str, x: Tensor, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """General features of every frame.

        Args:
            name: of the modality.
            x: its features.
            mask: optional `(batch, frames)`.
            training: whether dropout acts.

        Returns:
            Float tensor `(batch, frames, dim)`.
        """
        if name in self.given_encoders:
            return self.encoders[name](x, training=training)
        return self.encoders[name](x, frame_mask=mask, training=training)

    def assign_codes(
        self, features: Mapping[str, Tensor], masks: Mapping[str, Tensor], training: bool
    ) -> dict[str, dict[str, Tensor]]:
        """Codes of all modalities; in training the codebook moves.

        Frames that are padding, and clips that lack a modality, get codes but have no part in
        the codebook.

        Args:
            features: modality to `(batch, [frames,] dim)`.
            masks: modality to `(batch, frames)`.
            training: whether the codebook moves.

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

    def get_build_config(self):
        return {"input_shape": self.feature_shapes} if self.built else None

    def build_from_config(self, config):
        if config:
            self.build({m: tuple(shape) for m, shape in config["input_shape"].items()})

    def get_config(self):
        names = "modalities num_embeddings embedding_dim use_masks seed".split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            **self.settings,
            "encoders": _serialized(self.given_encoders),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("encoders", "specific_encoders"):
            if key in config:
                config[key] = {
                    name: keras.saving.deserialize_keras_object(layer)
                    for name, layer in config[key].items()
                }
        for key in ("modalities", "fine"):
            if key in config:
                config[key] = tuple(config[key])
        return cls(**config)


def _serialized(layers: Mapping[str, keras.Layer]) -> dict[str, Any]:
    return {name: keras.saving.serialize_keras_object(layer) for name, layer in layers.items()}
