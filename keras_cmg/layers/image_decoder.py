"""The convolutional decoder of a VQ-VAE, from a grid of vectors to images."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.residual_unit import ResidualUnit


@keras.saving.register_keras_serializable("keras_cmg")
class ImageDecoder(keras.layers.Layer):
    """Decodes a grid of vectors to an image: residual units and transposed convolutions.

    Masks: none are read; all positions of the grid are decoded.

    Args:
        channels: int, channels of the image.
        grid: tuple of two ints, rows and columns of the grid.
        hidden_channels: int, width of the convolutions.
        num_residual: int, residual units before the transposed convolutions.
        upsampling: int, number of times that height and width are doubled.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, positions, dim)`, positions of the grid row by row.

    Returns:
        Float tensor `(batch, height, width, channels)`.

    Raises:
        ValueError: if the number of positions is not that of the grid, or a size is below 1.

    Example:

    >>> decoder = keras_cmg.layers.ImageDecoder(channels=1, grid=(7, 7), hidden_channels=4)
    >>> tuple(decoder(np.zeros((2, 49, 8), "float32")).shape)
    (2, 28, 28, 1)

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, section 4.1.
    """

    def __init__(
        self,
        channels: int,
        grid: tuple[int, int],
        hidden_channels: int = 128,
        num_residual: int = 2,
        upsampling: int = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_sizes(channels=channels, hidden_channels=hidden_channels, upsampling=upsampling)
        self.channels = channels
        self.grid = tuple(grid)
        self.hidden_channels = hidden_channels
        self.num_residual = num_residual
        self.upsampling = upsampling

    def build(self, input_shape):
        if input_shape[1] != self.grid[0] * self.grid[1]:
            raise ValueError(
                f"Inputs must have one vector for each position of the grid {self.grid}. "
                f"Received shape {tuple(input_shape)}."
            )
        dtype = self.dtype_policy
        self.stack = [
            keras.layers.Conv2D(self.hidden_channels, 3, padding="same", dtype=dtype, name="spread")
        ]
        self.stack += [
            ResidualUnit(self.hidden_channels, dtype=dtype, name=f"residual_{i}")
            for i in range(self.num_residual)
        ]
        for i in range(self.upsampling):
            last = i == self.upsampling - 1
            self.stack.append(
                keras.layers.Conv2DTranspose(
                    self.channels if last else self.hidden_channels,
                    4,
                    2,
                    "same",
                    activation=None if last else "relu",
                    dtype=dtype,
                    name=f"up_{i}",
                )
            )
        shape = (None, *self.grid, input_shape[-1])
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, inputs):
        x = ops.reshape(inputs, (-1, *self.grid, inputs.shape[-1]))
        for layer in self.stack:
            x = layer(x)
        return x

    def compute_output_shape(self, input_shape):
        height, width = (size * 2**self.upsampling for size in self.grid)
        return (input_shape[0], height, width, self.channels)

    def get_config(self):
        names = "channels grid hidden_channels num_residual upsampling".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
