"""Multi-head attention whose gradient keeps its digits where attention saturates."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.ops.saturating_softmax import saturating_softmax


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

    def _masked_softmax(self, attention_scores, attention_mask=None):
        if attention_mask is None:
            return saturating_softmax(attention_scores)
        # (batch, [heads,] queries, keys)
        while len(attention_mask.shape) < len(attention_scores.shape):
            attention_mask = ops.expand_dims(attention_mask, 1)
        half = keras.backend.standardize_dtype(attention_scores.dtype) == "float16"
        lowest = -3e4 if half else -1e9
        weights = saturating_softmax(ops.where(attention_mask, attention_scores, lowest))
        # With nothing to attend to, nothing is attended.
        return ops.where(attention_mask, weights, 0.0)
