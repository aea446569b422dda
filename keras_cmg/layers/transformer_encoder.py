"""A transformer encoder over the frames of a clip."""

from __future__ import annotations

import keras

from keras_cmg.layers.seeds import derive_seed
from keras_cmg.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable("keras_cmg")
class TransformerEncoder(keras.layers.Layer):
    """Projects frames to `units` channels and applies post-norm transformer blocks over time.

    Dropout is applied in training only. There is no positional encoding: a clip is a set of
    segments, as in the authors' code.

    Masks: frames of `frame_mask` zero are not attended to. Their own outputs are computed all the
    same and must be ignored by the caller. Without any frame to attend to, attention adds nothing.

    Args:
        units: int, width of the output, the paper's D.
        num_layers: int, number of transformer blocks.
        num_heads: int, attention heads; must divide `units`.
        feedforward_units: int, width inside a block.
        dropout: float, rate after attention and inside and after the feed-forward part.
        seed: int, seed of dropout. Without one, PyTorch draws from its own global state, and a run
            resumed from a file draws other numbers.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero for frames that are attended to.
        training: bool, whether dropout is applied.

    Returns:
        Float tensor `(batch, frames, units)`.

    Raises:
        ValueError: if `num_heads` does not divide `units`, or the inputs are not of rank 3.

    Example:

    >>> layer = keras_cmg.layers.TransformerEncoder(units=8, num_heads=2, feedforward_units=16)
    >>> tuple(layer(np.zeros((2, 10, 5), "float32")).shape)
    (2, 10, 8)

    References:
        Vaswani et al. (2017), Attention Is All You Need, section 3.1;
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1.
    """

    def __init__(
        self,
        units: int = 256,
        num_layers: int = 1,
        num_heads: int = 4,
        feedforward_units: int = 1024,
        dropout: float = 0.1,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units % num_heads:
            raise ValueError(
                f"`num_heads` must divide `units`. Received num_heads={num_heads}, units={units}"
            )
        self.units = units
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.feedforward_units = feedforward_units
        self.dropout = dropout
        self.seed = seed
        self.projection = keras.layers.Dense(units, dtype=self.dtype_policy, name="projection")
        self.blocks = [
            TransformerBlock(
                num_heads,
                feedforward_units,
                dropout,
                seed=derive_seed(f"block_{i}", seed),
                dtype=self.dtype_policy,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                f"{self.name}: features must have shape (batch, frames, dim). "
                f"Received shape {tuple(input_shape)}."
            )
        self.projection.build(input_shape)
        for block in self.blocks:
            block.build((*input_shape[:-1], self.units))
        self.built = True

    def call(self, inputs, frame_mask=None, training=False):
        x = self.projection(inputs)
        for block in self.blocks:
            x = block(x, frame_mask=frame_mask, training=training)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        names = "units num_layers num_heads feedforward_units dropout seed".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
