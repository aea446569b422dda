"""The convolutional encoder of a VQ-VAE, from images to a grid of vectors."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.residual_unit import ResidualUnit


@keras.saving.register_keras_serializable("keras_cmg")
class ImageEncoder(keras.layers.Layer):
    """Encodes images as a grid of vectors: strided convolutions, residual units, a projection.

    Masks: none are read; all positions of the grid are encoded.

    Args:
        units: int, length of the vectors.
        hidden_channels: int, width of the convolutions.
        num_residual: int, residual units after the strided convolutions.
        downsampling: int, number of times that height and width are halved.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, positions, units)`, the `height / 2**downsampling` by `width /
        2**downsampling` positions of the grid, row by row.

    Raises:
        ValueError: if height or width is not a multiple of `2**downsampling`, or a size is below 1.

    Example:

    >>> encoder = keras_cmg.layers.ImageEncoder(units=8, hidden_channels=4)
    >>> tuple(encoder(np.zeros((2, 28, 28, 1), "float32")).shape)
    (2, 49, 8)

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, section 4.1.
    """

    def __init__(
        self,
        units: int = 128,
        hidden_channels: int = 128,
        num_residual: int = 2,
        downsampling: int = 2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        require_sizes(units=units, hidden_channels=hidden_channels, downsampling=downsampling)
        self.units = units
        self.hidden_channels = hidden_channels
        self.num_residual = num_residual
        self.downsampling = downsampling

    def grid(self, input_shape: Any) -> tuple[int, int]:
        """Computes the size of the grid.

        Args:
            input_shape: shape of images, `(batch, height, width, channels)`.

        Returns:
            Rows and columns.

        Raises:
            ValueError: if height or width is not a multiple of `2**downsampling`.

        Example:

        >>> keras_cmg.layers.ImageEncoder(downsampling=3).grid((None, 56, 56, 3))
        (7, 7)
        """
        shape, step = tuple(input_shape), 2**self.downsampling
        if len(shape) != 4 or not all(size and size % step == 0 for size in shape[1:3]):
            raise ValueError(
                "Images must have shape (batch, height, width, channels), with height and width "
                f"multiples of {step} (2 to the power of `downsampling`). Received shape {shape}."
            )
        return shape[1] // step, shape[2] // step

    def build(self, input_shape):
        self.grid(input_shape)
        dtype = self.dtype_policy
        self.stack = [
            keras.layers.Conv2D(
                self.hidden_channels, 4, 2, "same", activation="relu", dtype=dtype, name=f"down_{i}"
            )
            for i in range(self.downsampling)
        ]
        self.stack += [
            ResidualUnit(self.hidden_channels, dtype=dtype, name=f"residual_{i}")
            for i in range(self.num_residual)
        ]
        self.stack.append(keras.layers.Conv2D(self.units, 1, dtype=dtype, name="project"))
        shape = tuple(input_shape)
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, inputs):
        x = inputs
        for layer in self.stack:
            x = layer(x)
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], self.units))

    def compute_output_shape(self, input_shape):
        rows, columns = self.grid(input_shape)
        return (input_shape[0], rows * columns, self.units)

    def get_config(self):
        names = "units hidden_channels num_residual downsampling".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
