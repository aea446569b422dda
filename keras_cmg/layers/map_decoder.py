"""A decoder of feature maps from a general vector and a specific map."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.residual_unit import ResidualUnit
from keras_cmg.layers.transposed_convolution import TransposedConvolution


@keras.saving.register_keras_serializable("keras_cmg")
class MapDecoder(keras.layers.Layer):
    """Reconstructs feature maps from a general vector and a specific map.

    The general vector is repeated at all positions of the specific map. A transposed 3x3
    convolution, a residual unit, a transposed 3x3 convolution with ReLU and a 1x1 convolution
    follow, which map 3 x 3 to 7 x 7 positions.

    Masks: none are read; every frame is decoded, and the loss of padded frames must be given weight
    zero.

    Args:
        units: int, channels of the reconstruction.
        hidden_channels: int, width of the inner convolutions.
        pre_activation_skip: bool, see `keras_cmg.layers.ResidualUnit`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        general: float tensor `(batch, frames, dim)`.
        specific: float tensor `(batch, frames, height, width, channels)`.

    Returns:
        Float tensor `(batch, frames, height + 4, width + 4, units)`.

    Example:

    >>> decoder = keras_cmg.layers.MapDecoder(units=6, hidden_channels=4)
    >>> out = decoder(np.zeros((2, 10, 5), "float32"), np.zeros((2, 10, 3, 3, 8), "float32"))
    >>> tuple(out.shape)
    (2, 10, 7, 7, 6)

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1.
    """

    def __init__(
        self, units: int, hidden_channels: int = 1024, pre_activation_skip: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        self.units = units
        self.hidden_channels = hidden_channels
        self.pre_activation_skip = pre_activation_skip

    def build(self, general_shape, specific_shape):
        dim, dtype = general_shape[-1], self.dtype_policy
        self.spread = keras.layers.Dense(dim, dtype=dtype, name="spread")
        self.spread.build(general_shape)

        def transposed(filters, size, activation, name):
            return TransposedConvolution(
                filters, size, activation=activation, dtype=dtype, name=name
            )

        self.stack = [
            transposed(self.hidden_channels, 3, None, "conv_0"),
            ResidualUnit(
                self.hidden_channels, self.pre_activation_skip, dtype=dtype, name="residual"
            ),
            transposed(self.units, 3, "relu", "conv_1"),
            transposed(self.units, 1, None, "conv_2"),
        ]
        shape = (None, *specific_shape[2:4], dim + specific_shape[-1])
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, general, specific):
        batch, frames = ops.shape(specific)[:2]
        height, width = specific.shape[2:4]
        spread = self.spread(general)[:, :, None, None]
        spread = ops.broadcast_to(spread, (batch, frames, height, width, general.shape[-1]))
        x = ops.concatenate([spread, specific], axis=-1)
        x = ops.reshape(x, (-1, *x.shape[2:]))
        for layer in self.stack:
            x = layer(x)
        return ops.reshape(x, (batch, frames, *x.shape[1:]))

    def compute_output_shape(self, general_shape, specific_shape):
        batch, frames, height, width, _ = specific_shape
        return (batch, frames, height + 4, width + 4, self.units)

    def get_config(self):
        names = "units hidden_channels pre_activation_skip".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
