"""Pooling of feature maps over positions, with channel attention."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.arguments import require_maps

POOLINGS = ("attention", "sum", "flatten")


@keras.saving.register_keras_serializable("keras_cmg")
class MapPooling(keras.layers.Layer):
    """Computes one vector per frame from a feature map: channel attention, then pooling.

    Channels are weighted by squeeze-and-excitation, `x (1 + sigmoid(V2 relu(V1 mean(x))))`. The
    positions are then pooled:

    - `"attention"`: a weighted mean over the positions. The weights are a softmax over positions of
      learned scores, which compare each position with the mean over positions.
    - `"sum"`: the sum over positions, which is what the authors' code computes (its softmax is
      over an axis of length one).
    - `"flatten"`: the concatenation of all positions, which keeps spatial information and suits
      maps of few channels only.

    Masks: none are read; every frame is pooled by itself, so that a mask of frames remains valid
    for the output.

    Args:
        pooling: `"attention"`, `"sum"` or `"flatten"`.
        reduction: int, ratio of channels to units of the squeeze.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`.

    Returns:
        Float tensor `(batch, frames, channels)`, for `"flatten"` `(batch, frames,
        height * width * channels)`.

    Raises:
        ValueError: if `pooling` is unknown, or the inputs are not of rank 5.

    Example:

    >>> tuple(keras_cmg.layers.MapPooling()(np.zeros((2, 10, 7, 7, 16), "float32")).shape)
    (2, 10, 16)

    References:
        Hu et al. (2018), Squeeze-and-Excitation Networks, Eqs. 2-4; Huang et al. (2025), Enhancing
        Multimodal Unified Representations for Cross Modal Generalization, section 3.1.
    """

    def __init__(self, pooling: str = "attention", reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: {pooling!r}")
        self.pooling = pooling
        self.reduction = reduction

    def build(self, input_shape):
        require_maps(self.name, input_shape)
        channels, dtype = input_shape[-1], self.dtype_policy

        def dense(units, name, **kwargs):
            layer = keras.layers.Dense(units, dtype=dtype, name=name, **kwargs)
            layer.build((None, channels))
            return layer

        self.squeeze = dense(
            max(1, channels // self.reduction), "squeeze", activation="relu", use_bias=False
        )
        self.excite = keras.layers.Dense(
            channels, "sigmoid", use_bias=False, dtype=dtype, name="excite"
        )
        self.excite.build((None, self.squeeze.units))
        if self.pooling == "attention":
            width = max(1, channels // 2)
            self.mean_query = dense(width, "mean_query", activation="relu")
            self.position_key = dense(width, "position_key", activation="relu")
            self.position_score = keras.layers.Dense(1, dtype=dtype, name="position_score")
            self.position_score.build((None, width))
        self.built = True

    def gate(self, inputs):
        """Weights the channels of maps, which are not pooled.

        Args:
            inputs: as in a call.

        Returns:
            Float tensor of the shape of `inputs`.

        Example:

        >>> layer = keras_cmg.layers.MapPooling()
        >>> layer.build((None, 10, 7, 7, 16))
        >>> tuple(layer.gate(np.zeros((2, 10, 7, 7, 16), "float32")).shape)
        (2, 10, 7, 7, 16)
        """
        inputs = ops.convert_to_tensor(inputs)
        gate = self.excite(self.squeeze(ops.mean(inputs, axis=(2, 3))))
        return inputs * (1 + gate[:, :, None, None])

    def call(self, inputs):
        batch, frames = ops.shape(inputs)[:2]
        height, width, channels = inputs.shape[2:]
        # Not by `gate`: the reshape behind its product is converted to LiteRT with a fixed batch.
        x = ops.reshape(inputs, (batch, frames, height * width, channels))
        gate = self.excite(self.squeeze(ops.mean(x, axis=2)))
        x = x * (1 + gate[:, :, None])
        if self.pooling == "sum":
            return ops.sum(x, axis=2)
        if self.pooling == "flatten":
            return ops.reshape(x, (batch, frames, height * width * channels))
        query = self.mean_query(ops.mean(x, axis=2))[:, :, None]
        scores = self.position_score(query * self.position_key(x))
        return ops.sum(x * ops.softmax(scores, axis=2), axis=2)

    def compute_output_shape(self, input_shape):
        batch, frames, height, width, channels = input_shape
        positions = height * width if self.pooling == "flatten" else 1
        return (batch, frames, positions * channels)

    def get_config(self):
        return {**super().get_config(), "pooling": self.pooling, "reduction": self.reduction}
