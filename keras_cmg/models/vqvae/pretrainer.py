"""The VQ-VAE's training: rebuild the image, stay near the codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend.replicas import own
from keras_cmg.layers.image_decoder import ImageDecoder
from keras_cmg.models.base import terms
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.vqvae import presets
from keras_cmg.models.vqvae.backbone import VQVAEBackbone
from keras_cmg.ops import quantization
from keras_cmg.types import Tensor


@register_model("vqvae")
@keras.saving.register_keras_serializable("keras_cmg")
class VQVAE(Pretrainer):
    """Vector-quantised autoencoder of images, codes by moving averages.

    `L = MSE(image, decoder(codes)) + beta MSE(encoder, sg codes)`. The decoder is of use after
    training too: `decode` makes images of codes, of masked ones for instance.

    Args:
        backbone: a `VQVAEBackbone`; or the one modality's name in a tuple, for the preset
            `"small"`.
        loss_weights: weights of "reconstruction" and "commitment"; default 1.
        commitment_cost: beta.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: for a weight of an unknown term.

    Example:

    >>> model = keras_cmg.models.VQVAE.from_preset("small", backbone={"hidden_channels": 8})
    >>> model.compile(keras.optimizers.Adam(1e-3))
    >>> images = np.zeros((4, 28, 28, 1), "float32")
    >>> history = model.fit({"image": images}, verbose=0)
    >>> codes = model.backbone.encode("image", images)["quantized"]
    >>> tuple(model.decode(codes).shape)
    (4, 28, 28, 1)

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, Eq. 3 and appendix A.1.
    """

    backbone_class = VQVAEBackbone
    presets = presets.PRESETS

    def __init__(
        self,
        backbone: VQVAEBackbone | tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        commitment_cost: float = 0.25,
        **kwargs,
    ):
        if not isinstance(backbone, VQVAEBackbone):
            backbone = self.default_backbone(backbone)
        super().__init__(backbone, **kwargs)
        self.commitment_cost = commitment_cost
        self.weigh(("reconstruction", "commitment"), loss_weights)
        self.create_trackers()

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: the terms, and how the codes are used."""
        return (*self.loss_names, "perplexity", "code_usage")

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.build_backbone(input_shape)
        backbone = self.backbone
        self.decoder = ImageDecoder(
            backbone.feature_shapes[backbone.modality][-1],
            backbone.grid,
            backbone.hidden_channels,
            backbone.num_residual,
            backbone.downsampling,
            dtype=self.dtype_policy,
            name="decoder",
        )
        rows, columns = backbone.grid
        self.decoder.build((None, rows * columns, backbone.embedding_dim))
        self.built = True

    def decode(self, codes: Any) -> Tensor:
        """Images of codes.

        Args:
            codes: float `(batch, places, dim)`, such as `encode(...)["quantized"]`, whole or with
                dimensions masked by `TOCChannelMask(mode="mask")`.

        Returns:
            Float tensor `(batch, height, width, channels)`.

        Raises:
            ValueError: before the model has seen an image's shape.

        Example:

        >>> model = keras_cmg.models.VQVAE.from_preset("small", backbone={"hidden_channels": 8})
        >>> model.build({"image": (None, 8, 8, 3)})
        >>> tuple(model.decode(np.zeros((1, 4, 128), "float32")).shape)
        (1, 8, 8, 3)
        """
        if not self.built:
            raise ValueError("The model does not know the images' shape yet. Train or build it.")
        return self.decoder(ops.cast(codes, self.compute_dtype))

    def reconstruction_loss(self, x, features):
        """Squared error of the image that the codes give."""
        name = self.backbone.modality
        codes = own(features)["quantized"][name]
        return terms.mean_squared_error(own(x)[name], self.decoder(codes))

    def commitment_loss(self, x, features):
        """How far the encoder's vectors lie from their codes."""
        return sum(
            quantization.commitment_loss(
                features["general"], features["codes"], self.commitment_cost, cross_modal=False
            ).values()
        )

    def extra_logs(self, x, features):
        codes = terms.code_logs(features["indices"], self.backbone.num_embeddings)
        return {key: codes[key] for key in ("perplexity", "code_usage")}

    def get_build_config(self):
        return self.backbone.get_build_config()

    def build_from_config(self, config):
        if config:
            self.build({m: tuple(shape) for m, shape in config["input_shape"].items()})

    def get_config(self):
        return {
            **super().get_config(),
            "loss_weights": self.given_weights,
            "commitment_cost": self.commitment_cost,
        }
