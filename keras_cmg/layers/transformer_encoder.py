"""General encoder over time: a projection and transformer blocks."""

from __future__ import annotations

import zlib

import keras
from keras import ops

from keras_cmg.backend.keras_internals import set_attention_softmax
from keras_cmg.ops.saturating_softmax import saturating_softmax


@keras.saving.register_keras_serializable("keras_cmg")
class TransformerEncoder(keras.layers.Layer):
    """Dense to `units`, then post-norm transformer blocks over the frames of a clip.

    Dropout acts in training only. No positional encoding: a clip is a set of segments, as in the
    authors' code.

    Args:
        units: width of the output, the paper's D.
        num_layers: number of transformer blocks.
        num_heads: attention heads; must divide `units`.
        feedforward_units: width inside a block.
        dropout: rate after attention and inside and after the feed-forward part.
        seed: of dropout. Without one, PyTorch draws from its own global state, and a run resumed
            from a file draws other numbers.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero where a frame counts and is attended to.
        training: whether dropout acts.

    Returns:
        Float tensor `(batch, frames, units)`.

    Raises:
        ValueError: if `num_heads` does not divide `units`, or inputs are not rank 3.

    Example:

    >>> layer = keras_cmg.layers.TransformerEncoder(units=8, num_heads=2, feedforward_units=16)
    >>> tuple(layer(np.zeros((2, 10, 5), "float32")).shape)
    (2, 10, 8)

    References:
        Vaswani et al. (2017), Attention Is All You Need; Huang et al. (2025), section 3.1.
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
                seed=seed_of(f"block_{i}", seed),
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


@keras.saving.register_keras_serializable("keras_cmg")
class SaturatingAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` that learns from scores far apart, by `saturating_softmax`.

    Scores of this network reach thousands, where a plain softmax leaves its gradient to rounding.
    Arguments and call are those of the Keras layer.

    Example:

    >>> attention = SaturatingAttention(num_heads=1, key_dim=4)
    >>> tuple(attention(np.zeros((2, 3, 4)), np.zeros((2, 3, 4))).shape)
    (2, 3, 4)
    """


def _attention_weights(scores, mask):
    if mask is None:
        return saturating_softmax(scores)
    # (batch, [heads,] queries, keys)
    while len(mask.shape) < len(scores.shape):
        mask = ops.expand_dims(mask, 1)
    half = keras.backend.standardize_dtype(scores.dtype) == "float16"
    lowest = -3e4 if half else -1e9
    weights = saturating_softmax(ops.where(mask, scores, lowest))
    # With nothing to attend to, nothing is attended.
    return ops.where(mask, weights, 0.0)


set_attention_softmax(SaturatingAttention, _attention_weights)


@keras.saving.register_keras_serializable("keras_cmg")
class TransformerBlock(keras.layers.Layer):
    """Post-norm block: `x <- LN(x + attention(x))`, `x <- LN(x + W2 relu(W1 x))`.

    Args:
        num_heads: attention heads.
        feedforward_units: width of W1.
        dropout: rate, in training only.
        seed: of dropout, see `TransformerEncoder`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero where a frame counts.
        training: whether dropout acts.

    Returns:
        Float tensor of the shape of `inputs`.

    Example:

    >>> block = keras_cmg.layers.TransformerBlock(num_heads=2, feedforward_units=8)
    >>> tuple(block(np.zeros((1, 3, 4), "float32")).shape)
    (1, 3, 4)
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
            seed=seed_of("attention", self.seed), name="attention",
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
            self.dropout, seed=seed_of("drop", self.seed), dtype=dtype, name="drop"
        )
        self.attention.build(input_shape, input_shape)
        self.attention_norm.build(input_shape)
        self.expand.build(input_shape)
        self.contract.build((*input_shape[:-1], self.feedforward_units))
        self.output_norm.build(input_shape)
        self.built = True

    def call(self, inputs, frame_mask=None, training=False):
        attendable = (
            None if frame_mask is None else ops.cast(ops.expand_dims(frame_mask, 1), "bool")
        )
        # A vector added to all keys leaves the softmax as it is. Without their common part, scores
        # are differences of frames rather than of large numbers, and keep their digits.
        keys = inputs - ops.mean(inputs, axis=1, keepdims=True)
        # Asking for the scores keeps fused kernels away, which work the softmax out anew in the
        # backward pass, with other rounding; on some tens of frames they gain nothing.
        attended, _ = self.attention(
            inputs,
            inputs,
            key=keys,
            attention_mask=attendable,
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


def seed_of(part: str, seed: int | None) -> int | None:
    """A seed of its own for each part of something that has one seed.

    Args:
        part: name of the part.
        seed: of the whole; None stays None.

    Returns:
        An integer in [0, 2^31), or None.

    Example:

    >>> seed_of("audio", 0) == seed_of("video", 0), seed_of("audio", None)
    (False, None)
    """
    return None if seed is None else zlib.crc32(f"{part} {seed}".encode()) >> 1
