"""Transposed convolution of small maps as one matrix product."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cmg")
class TransposedConvolution(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` of stride 1 without padding, by its definition.

    Every position spreads to a neighbourhood, `out[p + i, q + j] += x[p, q] W[i, j]`: one matrix
    product for all taps, then a sum of shifted copies. On maps of a few positions this does a third
    of the work of a convolution of the padded map, and its gradient stays a matrix product on every
    engine; weights and config are those of the Keras layer.

    Args:
        filters: channels of the output.
        kernel_size: size of the neighbourhood.
        activation: as in Keras.
        **kwargs: the arguments of `keras.layers.Conv2DTranspose`, but strides, padding, dilation.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, height + kernel - 1, width + kernel - 1, filters)`.

    Raises:
        ValueError: for strides, padding, dilation or a data format other than the default.

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
                "TransposedConvolution takes strides 1, no dilation, padding 'valid' and channels "
                f"last. Received: strides={self.strides}, dilation_rate={self.dilation_rate}, "
                f"padding={self.padding!r}, data_format={self.data_format!r}"
            )

    def call(self, inputs):
        rows, columns = self.kernel_size
        height, width, channels = inputs.shape[1:]
        # (rows, columns, filters, channels) -> (channels, rows * columns * filters)
        kernel = ops.reshape(self.kernel, (rows * columns * self.filters, channels))
        spread = ops.matmul(inputs, ops.transpose(kernel))
        spread = ops.reshape(spread, (-1, height, width, rows * columns, self.filters))
        output = 0
        # Taken apart at once: PyTorch's gradient of one tap's slice is a whole array of zeros.
        for tap, copy in enumerate(ops.unstack(spread, axis=3)):
            i, j = divmod(tap, columns)
            place = ((0, 0), (i, rows - 1 - i), (j, columns - 1 - j), (0, 0))
            output = output + ops.pad(copy, place)
        if self.use_bias:
            output = output + self.bias
        return output if self.activation is None else self.activation(output)
