"""A multilayer perceptron with one hidden layer."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("keras_cmg")
class MLP(keras.layers.Layer):
    """Applies a perceptron with one hidden layer and ReLU.

    Masks: none are read; every vector is transformed by itself.

    Args:
        units: int, width of the output.
        hidden_units: int, width of the hidden layer; default `units`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(..., dim)`.

    Returns:
        Float tensor `(..., units)`.

    Example:

    >>> tuple(keras_cmg.layers.MLP(4)(np.zeros((2, 3), "float32")).shape)
    (2, 4)

    References:
        Dong et al. (2023), SimMMDG: A Simple and Effective Framework for Multi-modal Domain
        Generalization, where it translates features of one modality to another.
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
