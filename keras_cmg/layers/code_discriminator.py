"""A classifier of codes, for adversarial training of features."""

from __future__ import annotations

import keras

from keras_cmg.layers.gradient_reversal import GradientReversal
from keras_cmg.layers.mlp import MLP


@keras.saving.register_keras_serializable("keras_cmg")
class CodeDiscriminator(keras.layers.Layer):
    """Predicts codes from features that are meant not to tell them.

    A perceptron behind a `GradientReversal`: minimising the cross-entropy of its logits trains the
    perceptron to find the code, and the features not to hold it.

    Masks: none are read; every vector is classified by itself.

    Args:
        num_embeddings: int, number of codes.
        hidden_units: int, width of the hidden layer.
        reversal_scale: float, factor of the reversed gradient.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(..., dim)`.

    Returns:
        Float tensor `(..., num_embeddings)` of logits.

    Raises:
        ValueError: if `reversal_scale` is negative.

    Example:

    >>> layer = keras_cmg.layers.CodeDiscriminator(num_embeddings=6, hidden_units=4)
    >>> tuple(layer(np.zeros((2, 10, 3), "float32")).shape)
    (2, 10, 6)

    References:
        Wu et al. (2026), Asymmetric Hierarchical Anchoring for Audio-Visual Joint Representation
        (adversarial decoupling; what is predicted is our choice).
    """

    def __init__(
        self, num_embeddings: int, hidden_units: int = 256, reversal_scale: float = 1.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_embeddings = num_embeddings
        self.hidden_units = hidden_units
        self.reversal_scale = reversal_scale
        self.reversal = GradientReversal(reversal_scale, dtype=self.dtype_policy, name="reversal")
        self.mlp = MLP(num_embeddings, hidden_units, dtype=self.dtype_policy, name="mlp")

    def build(self, input_shape):
        self.mlp.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.mlp(self.reversal(inputs))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_embeddings)

    def get_config(self):
        names = "num_embeddings hidden_units reversal_scale".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
