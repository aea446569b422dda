"""A convolution of small maps, as one matrix product."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.backend import engine

SMALL_KERNEL = 4096
"""Input channels times filters up to which the convolution of Keras is faster on a CPU."""


@keras.saving.register_keras_serializable("keras_cmg")
class PatchConvolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` of stride 1, of large kernels as the product of patches and the kernel.

    Convolution routines are made for large maps and few channels. On maps of a few positions with
    kernels of thousands of channels, they spend as much time on rearranging the kernel as on the
    convolution. The product of channels-last patches reads the kernel as it is stored, and the
    gradients are matrix products too. Kernels of at most 4,096 pairs of channels are left to the
    routine of Keras, which is faster on them. Weights and config are those of the Keras layer.

    Masks: none are read; all positions are convolved.

    Args:
        filters: int, channels of the output.
        kernel_size: int, size of the neighbourhood.
        padding: `"valid"`, or `"same"` with zeros around the map.
        **kwargs: the arguments of `keras.layers.Conv2D`, but strides, dilation, groups.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, rows, columns, filters)`.

    Raises:
        ValueError: if strides, dilation, groups, padding or data format are not those above.

    Example:

    >>> layer = keras_cmg.layers.PatchConvolution(5, 3)
    >>> tuple(layer(np.zeros((2, 7, 7, 4), "float32")).shape)
    (2, 5, 5, 5)
    """

    def __init__(self, filters: int, kernel_size: int = 3, padding: str = "valid", **kwargs):
        super().__init__(filters, kernel_size, padding=padding, **kwargs)
        plain = (
            tuple(self.strides) == (1, 1)
            and tuple(self.dilation_rate) == (1, 1)
            and self.groups == 1
            and self.padding in ("valid", "same")
            and self.data_format == "channels_last"
        )
        if not plain:
            raise ValueError(
                "PatchConvolution must have strides 1, no dilation, one group, padding 'valid' or "
                f"'same' and channels last. Received: strides={self.strides}, "
                f"dilation_rate={self.dilation_rate}, groups={self.groups}, "
                f"padding={self.padding!r}, data_format={self.data_format!r}"
            )

    def convolution_op(self, inputs, kernel):
        height, width, channels, filters = kernel.shape
        if height * width > 1 and channels * filters <= SMALL_KERNEL:
            return super().convolution_op(inputs, kernel)
        if self.padding == "same" and (height, width) != (1, 1):
            vertical = ((height - 1) // 2, height // 2)
            horizontal = ((width - 1) // 2, width // 2)
            inputs = ops.pad(inputs, ((0, 0), vertical, horizontal, (0, 0)))
        patches = inputs
        if (height, width) != (1, 1):
            patches = engine.patches(inputs, height, width)
        rows, columns = patches.shape[1:3]
        output = ops.matmul(
            ops.reshape(patches, (-1, height * width * channels)),
            ops.reshape(kernel, (-1, filters)),
        )
        return ops.reshape(output, (-1, rows, columns, filters))
