"""A residual unit of convolutions on feature maps."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.patch_convolution import PatchConvolution


@keras.saving.register_keras_serializable("keras_cmg")
class ResidualUnit(keras.layers.Layer):
    """Computes `relu(x + conv1x1(relu(conv3x3(relu(x)))))`, without biases.

    Masks: none are read; all positions are convolved.

    Args:
        channels: int, width of input and output.
        pre_activation_skip: bool, whether the skip connection carries `relu(x)` rather than x, as
            the in-place activations of the authors' code have it.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor of the same shape.

    Raises:
        ValueError: if the inputs have another number of channels.

    Example:

    >>> tuple(keras_cmg.layers.ResidualUnit(4)(np.zeros((2, 3, 3, 4), "float32")).shape)
    (2, 3, 3, 4)

    References:
        He et al. (2016), Deep Residual Learning for Image Recognition, Eq. 1; van den Oord et al.
        (2017), Neural Discrete Representation Learning, section 4.1.
    """

    def __init__(self, channels: int, pre_activation_skip: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.pre_activation_skip = pre_activation_skip
        self.wide = PatchConvolution(
            channels, 3, padding="same", use_bias=False, activation="relu",
            dtype=self.dtype_policy, name="wide",
        )  # fmt: skip
        self.narrow = PatchConvolution(
            channels, 1, use_bias=False, dtype=self.dtype_policy, name="narrow"
        )

    def build(self, input_shape):
        if input_shape[-1] != self.channels:
            raise ValueError(
                f"{self.name}: inputs must have {self.channels} channels. "
                f"Received shape {tuple(input_shape)}."
            )
        self.wide.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.channels))
        self.built = True

    def call(self, inputs):
        activated = ops.relu(inputs)
        skip = activated if self.pre_activation_skip else inputs
        return ops.relu(skip + self.narrow(self.wide(activated)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "pre_activation_skip": self.pre_activation_skip,
        }
