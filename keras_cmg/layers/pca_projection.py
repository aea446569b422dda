"""A layer that projects features onto principal components."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.precision import variable_dtype


@keras.saving.register_keras_serializable("keras_cmg")
class PCAProjection(keras.layers.Layer):
    """Projects features onto principal components that were fitted elsewhere.

    Computes `(x - mean) @ components`, what `data_tools` computes with the option `reduce` of an
    extractor, inside a model, so that an exported model takes the features of a network as they
    are. `assign` sets mean and components; before that the first `num_components` dimensions are
    kept. The weights are not trainable, and the layer behaves alike in training and inference.

    Masks: none are read; every frame is treated alike, and a mask of frames remains valid for the
    output. Padding with zeros does not give zeros.

    Args:
        num_components: int, components to keep.
        dtype: dtype policy; computation uses its variable dtype.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(..., dim)`.

    Returns:
        Float tensor `(..., num_components)`.

    Raises:
        ValueError: if `num_components` is below 1 or exceeds the number of dimensions.

    Example:

    >>> layer = keras_cmg.layers.PCAProjection(1)
    >>> layer.assign(mean=[1.0, 0.0], components=[[0.6], [0.8]])
    >>> round(float(layer(np.array([[2.0, 1.0]], "float32"))[0, 0]), 4)
    1.4

    References:
        Jolliffe (2002), Principal component analysis.
    """

    def __init__(self, num_components: int, dtype: Any = None, **kwargs):
        super().__init__(dtype=variable_dtype(dtype), **kwargs)
        self.supports_masking = True
        if num_components < 1:
            raise ValueError(f"`num_components` must be at least 1. Received: {num_components}")
        self.num_components = num_components

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        if dim < self.num_components:
            raise ValueError(
                "`num_components` must not exceed the number of dimensions. Received "
                f"num_components={self.num_components} for {dim} dimensions."
            )
        self.dim = dim
        self.mean = self.add_weight(name="mean", shape=(dim,), initializer="zeros", trainable=False)
        self.components = self.add_weight(
            name="components",
            shape=(dim, self.num_components),
            initializer="identity",
            trainable=False,
        )
        self.built = True

    def assign(self, mean: Any, components: Any) -> None:
        """Sets mean and components, and replaces earlier ones.

        Args:
            mean: float array `(dim,)`, subtracted from features.
            components: float array `(dim, num_components)`, a component per column, divided by
                what it is to be scaled by.

        Raises:
            ValueError: if a shape is wrong, or a number is not finite.

        Example:

        >>> layer = keras_cmg.layers.PCAProjection(2)
        >>> layer.assign(np.zeros(3), np.eye(3)[:, 1:])
        >>> [float(v) for v in layer(np.array([1.0, 2.0, 3.0], "float32"))]
        [2.0, 3.0]
        """
        mean, components = np.asarray(mean, "float32"), np.asarray(components, "float32")
        if mean.ndim != 1 or components.shape != (len(mean), self.num_components):
            raise ValueError(
                "`components` must have the shape (dim, num_components), and `mean` (dim,). "
                f"Received shapes {components.shape} and {mean.shape} for num_components="
                f"{self.num_components}."
            )
        for name, values in (("mean", mean), ("components", components)):
            if not np.isfinite(values).all():
                raise ValueError(f"`{name}` must be finite. Received NaN or infinity.")
        if not self.built:
            self.build(mean.shape)
        elif len(mean) != self.dim:
            raise ValueError(f"`mean` must have {self.dim} dimensions. Received: {len(mean)}")
        self.mean.assign(mean)
        self.components.assign(components)

    def call(self, inputs):
        # As rows: LiteRT multiplies tensors of five axes at most.
        rows = ops.reshape(inputs - self.mean, (-1, self.dim))
        projected = engine.matmul(rows, ops.convert_to_tensor(self.components))
        return ops.reshape(projected, (*ops.shape(inputs)[:-1], self.num_components))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.num_components)

    def get_build_config(self):
        return {"dim": self.dim} if self.built else {}

    def build_from_config(self, config):
        if "dim" in config:
            self.build((config["dim"],))

    def get_config(self):
        return {**super().get_config(), "num_components": self.num_components}
