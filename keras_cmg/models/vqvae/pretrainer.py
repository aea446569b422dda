"""VQ-VAE: reconstruction of images from codes, and commitment to the codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.image_decoder import ImageDecoder
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.vqvae import presets
from keras_cmg.models.vqvae.backbone import VQVAEBackbone
from keras_cmg.types import Tensor


@register_model("vqvae")
@keras.saving.register_keras_serializable("keras_cmg")
class VQVAE(Pretrainer):
    """Vector-quantised autoencoder of images, codes by moving averages.

    `L = MSE(image, decoder(codes)) + beta MSE(encoder, sg codes)`. `decode` makes images from
    codes, such as masked ones.

    Args:
        backbone: a `VQVAEBackbone`; or the one modality's name in a tuple, for that of the preset
            `"small"`.
        loss_weights: weights of `reconstruction` and `commitment`; default 1.
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
    code_logs = ("perplexity", "code_usage")

    def __init__(
        self,
        backbone: VQVAEBackbone | tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        commitment_cost: float = 0.25,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        self.commitment_cost = commitment_cost
        self.set_loss_weights(loss_weights)

    def default_loss_weights(self):
        return {"reconstruction": 1.0, "commitment": 1.0}

    def build_layers(self):
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

    def decode(self, codes: Any) -> Tensor:
        """Decodes codes to images.

        Args:
            codes: float `(batch, places, dim)`, such as `encode(...)["quantized"]`, whole or with
                dimensions masked by `TOCChannelMask(mode="mask")`.

        Returns:
            Float tensor `(batch, height, width, channels)`.

        Raises:
            ValueError: if the model is not built.

        Example:

        >>> model = keras_cmg.models.VQVAE.from_preset("small", backbone={"hidden_channels": 8})
        >>> model.build({"image": (None, 8, 8, 3)})
        >>> tuple(model.decode(np.zeros((1, 4, 128), "float32")).shape)
        (1, 8, 8, 3)
        """
        if not self.built:
            raise ValueError(
                "The model does not know the shape of the images. Train it, or call `build`."
            )
        return self.decoder(ops.cast(codes, self.compute_dtype))

    def reconstruction_loss(self, inputs):
        """Squared error of the image that is decoded from the codes."""
        name, own = self.backbone.modality, inputs.own
        return self.squared_error(own.batch[name], self.decoder(own.features["quantized"][name]))

    def get_config(self):
        return {**super().get_config(), "commitment_cost": self.commitment_cost}
