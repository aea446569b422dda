"""A transposed convolution of small maps, as one matrix product."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.backend import engine


@keras.saving.register_keras_serializable("keras_cmg")
class TransposedConvolution(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` of stride 1 without padding, computed by its definition.

    Every position adds to a neighbourhood, `out[p + i, q + j] += x[p, q] W[i, j]`: one matrix
    product for all (i, j), then a sum of shifted copies. On maps of a few positions this is a third
    of the work of a convolution of the padded map, and its gradient is a matrix product on every
    engine. Weights and config are those of the Keras layer.

    Masks: none are read; all positions are convolved.

    Args:
        filters: int, channels of the output.
        kernel_size: int, size of the neighbourhood.
        activation: as in Keras.
        **kwargs: the arguments of `keras.layers.Conv2DTranspose`, but strides, padding, dilation.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, height + kernel - 1, width + kernel - 1, filters)`.

    Raises:
        ValueError: if strides, padding, dilation or data format are not the default.

    Example:

    >>> layer = keras_cmg.layers.TransposedConvolution(5, 3)
    >>> tuple(layer(np.zeros((2, 3, 3, 4), "float32")).shape)
    (2, 5, 5, 5)
    """

    def __init__(self, filters: int, kernel_size: int = 3, activation=None, **kwargs):
        super().__init__(filters, kernel_size, activation=activation, **kwargs)
        plain = (
            tuple(self.strides) == (1, 1)
            and tuple(self.dilation_rate) == (1, 1)
            and self.padding == "valid"
            and self.data_format == "channels_last"
        )
        if not plain:
            raise ValueError(
                "TransposedConvolution must have strides 1, no dilation, padding 'valid' and "
                f"channels last. Received: strides={self.strides}, "
                f"dilation_rate={self.dilation_rate}, padding={self.padding!r}, "
                f"data_format={self.data_format!r}"
            )

    def call(self, inputs):
        rows, columns = self.kernel_size
        channels = inputs.shape[-1]
        # (rows, columns, filters, channels) -> (channels, rows * columns * filters)
        kernel = ops.reshape(self.kernel, (rows * columns * self.filters, channels))
        spread = ops.matmul(inputs, ops.transpose(kernel))
        output = engine.add_patches(spread, rows, columns)
        if self.use_bias:
            output = output + self.bias
        return output if self.activation is None else self.activation(output)
