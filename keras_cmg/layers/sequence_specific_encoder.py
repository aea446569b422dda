"""The specific encoder of feature sequences, and the interface of specific encoders.

A specific encoder maps `(batch, frames, ...)` to features of any shape. Its `summarize(features)`
computes `(batch, frames, dim)` vectors, on which mutual information is estimated, and
`summary_shape(input_shape)` returns their shape. Any Keras layer with these two methods may be used
as a specific encoder.
"""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("keras_cmg")
class SequenceSpecificEncoder(keras.layers.Layer):
    """Encodes modality-specific information of a feature sequence: a dense layer with ReLU.

    Masks: none are read; every frame is encoded by itself, so that a mask of frames remains valid
    for the output.

    Args:
        units: int, width of the output.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.

    Returns:
        Float tensor `(batch, frames, units)`.

    Example:

    >>> tuple(keras_cmg.layers.SequenceSpecificEncoder(6)(np.zeros((2, 10, 4), "float32")).shape)
    (2, 10, 6)

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1.
    """

    def __init__(self, units: int = 256, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units
        self.dense = keras.layers.Dense(units, "relu", dtype=self.dtype_policy, name="dense")

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.dense(inputs)

    def summarize(self, features):
        """Returns the features themselves, `(batch, frames, units)`.

        Args:
            features: output of the layer.

        Returns:
            The same tensor.

        Example:

        >>> keras_cmg.layers.SequenceSpecificEncoder(6).summarize("features")
        'features'
        """
        return features

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def summary_shape(self, input_shape):
        """Computes the shape of `summarize(layer(inputs))` for inputs of `input_shape`."""
        return self.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
