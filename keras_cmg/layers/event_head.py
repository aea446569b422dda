"""Event head: class logits of a clip."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cmg")
class EventHead(keras.layers.Layer):
    """Class logits of a clip: a dense layer, the maximum over time, a dense layer.

    It takes no mask: every frame counts.

    Args:
        num_classes: number of classes.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.

    Returns:
        Logits `(batch, num_classes)`.

    Example:

    >>> tuple(keras_cmg.layers.EventHead(3)(np.zeros((2, 10, 8), "float32")).shape)
    (2, 3)
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape):
        dim = input_shape[-1]
        self.inner = keras.layers.Dense(dim, dtype=self.dtype_policy, name="inner")
        self.classifier = keras.layers.Dense(
            self.num_classes, dtype=self.dtype_policy, name="classifier"
        )
        self.inner.build(input_shape)
        self.classifier.build((None, dim))
        self.built = True

    def call(self, inputs):
        return self.classifier(ops.max(self.inner(inputs), axis=1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
