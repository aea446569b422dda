"""The specific encoder of feature maps."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.arguments import require_maps
from keras_cmg.layers.patch_convolution import PatchConvolution
from keras_cmg.layers.residual_unit import ResidualUnit


@keras.saving.register_keras_serializable("keras_cmg")
class MapSpecificEncoder(keras.layers.Layer):
    """Encodes modality-specific information of feature maps by convolutions.

    Two 3x3 convolutions without padding (7 x 7 positions become 3 x 3), a 1x1 convolution and a
    residual unit. `summarize` averages over positions and projects back to the width of the input.

    Masks: none are read; every frame is encoded by itself, so that a mask of frames remains valid
    for the output.

    Args:
        hidden_channels: int, width of the first convolution and inside the summary.
        channels: int, width of the output.
        pre_activation_skip: bool, see `ResidualUnit`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`, at least 5 x 5.

    Returns:
        Float tensor `(batch, frames, height - 4, width - 4, channels)`.

    Raises:
        ValueError: if the inputs are not of rank 5, or maps are smaller than 5 x 5.

    Example:

    >>> layer = keras_cmg.layers.MapSpecificEncoder(hidden_channels=4, channels=8)
    >>> features = layer(np.zeros((2, 10, 7, 7, 6), "float32"))
    >>> tuple(features.shape), tuple(layer.summarize(features).shape)
    ((2, 10, 3, 3, 8), (2, 10, 6))

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1.
    """

    def __init__(
        self,
        hidden_channels: int = 1024,
        channels: int = 2048,
        pre_activation_skip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.hidden_channels = hidden_channels
        self.channels = channels
        self.pre_activation_skip = pre_activation_skip

    def build(self, input_shape):
        require_maps(self.name, input_shape, least=5)
        dtype = self.dtype_policy

        def conv(filters, size, activation, name):
            return PatchConvolution(filters, size, activation=activation, dtype=dtype, name=name)

        self.stack = [
            conv(self.hidden_channels, 3, "relu", "conv_0"),
            conv(self.channels, 3, "relu", "conv_1"),
            conv(self.channels, 1, None, "conv_2"),
            ResidualUnit(self.channels, self.pre_activation_skip, dtype=dtype, name="residual"),
        ]
        shape = (None, *input_shape[2:])
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        width = input_shape[-1]
        self.summary_hidden = keras.layers.Dense(
            self.hidden_channels, "relu", dtype=dtype, name="summary_hidden"
        )
        self.summary_output = keras.layers.Dense(width, dtype=dtype, name="summary_output")
        self.summary_hidden.build((None, self.channels))
        self.summary_output.build((None, self.hidden_channels))
        self.built = True

    def call(self, inputs):
        batch, frames = ops.shape(inputs)[:2]
        x = ops.reshape(inputs, (-1, *inputs.shape[2:]))
        for layer in self.stack:
            x = layer(x)
        return ops.reshape(x, (batch, frames, *x.shape[1:]))

    def summarize(self, features):
        """Computes the mean over positions, projected to the width of the layer's input.

        Args:
            features: float tensor `(batch, frames, height, width, channels)` from the layer.

        Returns:
            Float tensor `(batch, frames, input_channels)`.

        Example:

        >>> layer = keras_cmg.layers.MapSpecificEncoder(hidden_channels=4, channels=8)
        >>> tuple(layer.summarize(layer(np.zeros((1, 2, 5, 5, 6), "float32"))).shape)
        (1, 2, 6)
        """
        return self.summary_output(self.summary_hidden(ops.mean(features, axis=(2, 3))))

    def compute_output_shape(self, input_shape):
        batch, frames, height, width, _ = input_shape
        return (batch, frames, height - 4, width - 4, self.channels)

    def summary_shape(self, input_shape):
        """Computes the shape of `summarize(layer(inputs))` for inputs of `input_shape`."""
        return (*input_shape[:2], input_shape[-1])

    def get_config(self):
        names = "hidden_channels channels pre_activation_skip".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
