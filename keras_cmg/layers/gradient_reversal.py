"""A layer that reverses gradients."""

from __future__ import annotations

import keras

from keras_cmg.ops.gradient_reversal import reverse_gradient


@keras.saving.register_keras_serializable("keras_cmg")
class GradientReversal(keras.layers.Layer):
    """Returns its input, and multiplies the gradient by a negative factor (adversarial training).

    Masks: none are read; a mask of frames remains valid for the output.

    Args:
        scale: float, factor of the reversed gradient.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor of any shape.

    Returns:
        The same values.

    Raises:
        ValueError: if `scale` is negative.

    Example:

    >>> keras_cmg.layers.GradientReversal()(np.array([1.0, -2.0], "float32")).tolist()
    [1.0, -2.0]

    References:
        Ganin and Lempitsky (2015), Unsupervised Domain Adaptation by Backpropagation, section 3.2.
    """

    def __init__(self, scale: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        if scale < 0:
            raise ValueError(f"`scale` must not be negative. Received: {scale}")
        self.scale = scale

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        return reverse_gradient(inputs, self.scale)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
