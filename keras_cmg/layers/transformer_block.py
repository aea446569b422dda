"""A post-norm transformer block."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.saturating_attention import SaturatingAttention
from keras_cmg.layers.seeds import derive_seed


@keras.saving.register_keras_serializable("keras_cmg")
class TransformerBlock(keras.layers.Layer):
    """Applies a post-norm block: `x <- LN(x + attention(x))`, `x <- LN(x + W2 relu(W1 x))`.

    Masks: frames of `frame_mask` zero are not attended to. Their own outputs are computed all the
    same and must be ignored by the caller.

    Args:
        num_heads: int, attention heads.
        feedforward_units: int, width of W1.
        dropout: float, rate, in training only.
        seed: int, seed of dropout, see `TransformerEncoder`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero for frames that are attended to.
        training: bool, whether dropout is applied.

    Returns:
        Float tensor of the shape of `inputs`.

    Example:

    >>> block = keras_cmg.layers.TransformerBlock(num_heads=2, feedforward_units=8)
    >>> tuple(block(np.zeros((1, 3, 4), "float32")).shape)
    (1, 3, 4)

    References:
        Vaswani et al. (2017), Attention Is All You Need, section 3.1.
    """

    def __init__(
        self,
        num_heads: int = 4,
        feedforward_units: int = 1024,
        dropout: float = 0.1,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.feedforward_units = feedforward_units
        self.dropout = dropout
        self.seed = seed

    def build(self, input_shape):
        dim, dtype = input_shape[-1], self.dtype_policy
        self.attention = SaturatingAttention(
            self.num_heads, dim // self.num_heads, dropout=self.dropout, dtype=dtype,
            seed=derive_seed("attention", self.seed), name="attention",
        )  # fmt: skip
        self.expand = keras.layers.Dense(self.feedforward_units, "relu", dtype=dtype, name="expand")
        self.contract = keras.layers.Dense(dim, dtype=dtype, name="contract")
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=dtype, name="attention_norm"
        )
        self.output_norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=dtype, name="output_norm"
        )
        self.drop = keras.layers.Dropout(
            self.dropout, seed=derive_seed("drop", self.seed), dtype=dtype, name="drop"
        )
        self.attention.build(input_shape, input_shape)
        self.attention_norm.build(input_shape)
        self.expand.build(input_shape)
        self.contract.build((*input_shape[:-1], self.feedforward_units))
        self.output_norm.build(input_shape)
        self.built = True

    def call(self, inputs, frame_mask=None, training=False):
        attention_mask = (
            None if frame_mask is None else ops.cast(ops.expand_dims(frame_mask, 1), "bool")
        )
        # A vector added to all keys does not change the softmax. Relative to their mean, scores are
        # differences of frames rather than of large numbers, and keep their digits.
        keys = inputs - ops.mean(inputs, axis=1, keepdims=True)
        # Returning the scores excludes fused kernels, which recompute the softmax in the backward
        # pass, with other rounding. With some tens of frames they are not faster.
        attended, _ = self.attention(
            inputs,
            inputs,
            key=keys,
            attention_mask=attention_mask,
            return_attention_scores=True,
            training=training,
        )
        x = self.attention_norm(inputs + self.drop(attended, training=training))
        y = self.drop(self.expand(x), training=training)
        y = self.drop(self.contract(y), training=training)
        return self.output_norm(x + y)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = "num_heads feedforward_units dropout seed".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
