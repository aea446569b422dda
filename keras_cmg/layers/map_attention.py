"""The general encoder of feature maps: pooling over positions, then attention over frames."""

from __future__ import annotations

import keras

from keras_cmg.layers.map_pooling import MapPooling
from keras_cmg.layers.transformer_encoder import TransformerEncoder


@keras.saving.register_keras_serializable("keras_cmg")
class MapAttention(TransformerEncoder):
    """Encodes feature maps over time: `MapPooling`, then `TransformerEncoder`.

    Masks: frames of `frame_mask` zero are not attended to, as in `TransformerEncoder`.

    Args:
        pooling: see `MapPooling`.
        reduction: see `MapPooling`.
        **kwargs: the arguments of `TransformerEncoder`.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`.
        frame_mask: optional `(batch, frames)`, nonzero for frames that are attended to.
        training: bool, whether dropout is applied.

    Returns:
        Float tensor `(batch, frames, units)`.

    Raises:
        ValueError: as `MapPooling` and `TransformerEncoder`.

    Example:

    >>> layer = keras_cmg.layers.MapAttention(units=8, num_heads=2, feedforward_units=16)
    >>> tuple(layer(np.zeros((2, 10, 7, 7, 16), "float32")).shape)
    (2, 10, 8)

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1.
    """

    def __init__(self, pooling: str = "attention", reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.pooling = pooling
        self.reduction = reduction
        self.map_pooling = MapPooling(pooling, reduction, dtype=self.dtype_policy, name="pooling")

    def build(self, input_shape):
        self.map_pooling.build(input_shape)
        super().build(self.map_pooling.compute_output_shape(input_shape))

    def call(self, inputs, frame_mask=None, training=False):
        return super().call(self.map_pooling(inputs), frame_mask=frame_mask, training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.units)

    def get_config(self):
        return {**super().get_config(), "pooling": self.pooling, "reduction": self.reduction}
