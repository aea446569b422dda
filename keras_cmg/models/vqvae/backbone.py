"""Backbone of the VQ-VAE: a grid of codes per image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.image_encoder import ImageEncoder
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.models.vqvae import presets


@keras.saving.register_keras_serializable("keras_cmg")
class VQVAEBackbone(Backbone):
    """Encoder of images into a grid of codes.

    It has the methods of the cross-modal backbones, with one modality: its segments are the places
    of the grid, row by row, and a clip is a whole image, the mean over its places.

    Training updates the codebook (`Codebook`, moving averages of one modality); inference changes
    no state. Masks are not used.

    Args:
        modalities: the one name under which a batch has its images.
        num_embeddings: number of codes.
        embedding_dim: length of a code.
        hidden_channels: width of the convolutions.
        num_residual: residual units.
        downsampling: how many times height and width are halved.
        quantizer: arguments of `Codebook`; or a layer with its call and `assign_codes`.
        seed: of the initial codes.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: dict of the modality to images, `(batch, height, width, channels)`; other entries
            are not used.
        training: whether the codebook is updated.

    Returns:
        Dict of dicts by modality: `"general"`, `"quantized"` and `"codes"`, `(batch, places,
        dim)`; `"indices"`, `(batch, places)`.

    Raises:
        ValueError: for another number of modalities than one, images whose sizes do not divide,
            or images of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.VQVAEBackbone.from_preset("small")
    >>> tuple(backbone({"image": np.zeros((2, 28, 28, 1), "float32")})["indices"]["image"].shape)
    (2, 49)

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning.
    """

    presets = presets.PRESETS

    def __init__(
        self,
        modalities: tuple[str, ...] = ("image",),
        num_embeddings: int = 128,
        embedding_dim: int = 128,
        hidden_channels: int = 256,
        num_residual: int = 2,
        downsampling: int = 2,
        quantizer: keras.Layer | Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        if len(self.modalities) != 1:
            raise ValueError(f"`modalities` must hold one name. Received: {self.modalities}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.hidden_channels = hidden_channels
        self.num_residual = num_residual
        self.downsampling = downsampling
        self.seed = seed
        self.encoder = ImageEncoder(
            embedding_dim,
            hidden_channels,
            num_residual,
            downsampling,
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.set_quantizer(quantizer)

    @property
    def modality(self) -> str:
        """The name under which a batch has its images."""
        return self.modalities[0]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the grid of codes; known once built."""
        return self.encoder.grid(self.feature_shapes[self.modality])

    def build_layers(self):
        self.encoder.build(self.feature_shapes[self.modality])

    def check_features(self, modality, shape):
        expected = self.feature_shapes.get(modality)
        shape = tuple(shape)
        if expected is not None and shape[1:] != expected[1:]:
            sizes = ", ".join(str(size) for size in expected[1:])
            raise ValueError(
                f"Images of {modality!r} must have shape (batch, {sizes}). Received shape {shape}."
            )

    def call(self, inputs, training=False):
        self.check_inputs(inputs)
        name = self.modality
        general = self.encoder(ops.cast(inputs[name], self.compute_dtype))
        codes = self.quantizer({name: general}, training=training)[name]
        return {"general": {name: general}, **{kind: {name: x} for kind, x in codes.items()}}

    def general_features(self, modality, x, level, mask=None):
        general = self.encoder(x)
        return general if level == "segment" else ops.mean(general, axis=1)

    def get_config(self):
        names = (
            "num_embeddings embedding_dim hidden_channels num_residual downsampling seed"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
