"""Multi-head attention whose gradient keeps its digits where attention saturates."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.backend.keras_internals import set_attention_softmax
from keras_cmg.ops.saturating_softmax import saturating_softmax


@keras.saving.register_keras_serializable("keras_cmg")
class SaturatingAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with `keras_cmg.ops.saturating_softmax`.

    Scores of these networks reach thousands, where the gradient of a softmax consists of rounding
    errors. Arguments and call arguments are those of the Keras layer.

    Masks: as in the Keras layer, positions of `attention_mask` zero are not attended to. A query
    without any position to attend to gets weights of zero.

    Args:
        **kwargs: the arguments of `keras.layers.MultiHeadAttention`.

    Returns:
        As the Keras layer.

    Example:

    >>> attention = SaturatingAttention(num_heads=1, key_dim=4)
    >>> tuple(attention(np.zeros((2, 3, 4)), np.zeros((2, 3, 4))).shape)
    (2, 3, 4)

    References:
        Vaswani et al. (2017), Attention Is All You Need, section 3.2.
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
    # Weights of a query without any position to attend to must not be uniform.
    return ops.where(mask, weights, 0.0)


set_attention_softmax(SaturatingAttention, _attention_weights)
