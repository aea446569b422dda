"""One modality's features from another's."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("keras_cmg")
class MLP(keras.layers.Layer):
    """A perceptron with one hidden layer from the features of one modality to those of another.

    Args:
        units: width of the output.
        hidden_units: width of the hidden layer, ReLU; default `units`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, dim)`.

    Returns:
        Float tensor `(batch, units)`.

    Example:

    >>> tuple(keras_cmg.layers.MLP(4)(np.zeros((2, 3), "float32")).shape)
    (2, 4)

    References:
        Dong et al. (2023), SimMMDG, the cross-modal translation module.
    """

    def __init__(self, units: int, hidden_units: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden_units = hidden_units

    def build(self, input_shape):
        width = self.hidden_units or self.units
        self.hidden = keras.layers.Dense(width, "relu", dtype=self.dtype_policy, name="hidden")
        self.output_layer = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="output")
        self.hidden.build(input_shape)
        self.output_layer.build((*input_shape[:-1], width))
        self.built = True

    def call(self, inputs):
        return self.output_layer(self.hidden(inputs))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "hidden_units": self.hidden_units,
        }
