"""Linear probe: a decoder that is trained on one modality's codes and tested on another's."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

POOLINGS = ("max", "mean", "none")


@keras.saving.register_keras_serializable("keras_cmg")
class LinearProbe(keras.Model):
    """One linear layer on the codes of each segment; clip logits by pooling over time.

    Args:
        num_classes: number of classes, or of classes and background for localisation.
        pooling: `"max"` or `"mean"` over the segments of a clip; `"none"` keeps a prediction per
            segment.
        kernel_initializer: Keras initialiser, or its name, of the layer's kernel.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`, or `(batch, dim)` for clip codes.

    Returns:
        Logits `(batch, num_classes)`, or `(batch, frames, num_classes)` without pooling.

    Raises:
        ValueError: for an unknown pooling or fewer than one class.

    Example:

    >>> tuple(keras_cmg.models.LinearProbe(num_classes=3)(np.zeros((2, 10, 8), "float32")).shape)
    (2, 3)

    References:
        Huang et al. (2025), section 4.1: the decoder is one linear layer in all tasks.
    """

    def __init__(
        self,
        num_classes: int,
        pooling: str = "max",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f"`num_classes` must be at least 1. Received: {num_classes}")
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: {pooling!r}")
        self.num_classes = num_classes
        self.pooling = pooling
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.dense = keras.layers.Dense(
            num_classes,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="dense",
        )

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        logits = self.dense(inputs)
        if len(inputs.shape) == 2 or self.pooling == "none":
            return logits
        return (ops.max if self.pooling == "max" else ops.mean)(logits, axis=1)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "pooling": self.pooling,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
