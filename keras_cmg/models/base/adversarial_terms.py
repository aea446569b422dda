"""The adversarial term of several systems: a discriminator predicts codes from features."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_cmg.layers.code_discriminator import CodeDiscriminator
from keras_cmg.layers.precision import variable_dtype
from keras_cmg.ops.masking import weighted_mean
from keras_cmg.types import Tensor


def adversarial_loss(
    discriminator: CodeDiscriminator, features: Tensor, indices: Tensor, weights: Any = None
) -> tuple[Tensor, Tensor]:
    """Computes how well codes are predicted from features, which train against it.

    Args:
        discriminator: the layer that predicts.
        features: float tensor `(batch, [frames,] dim)`.
        indices: int tensor `(batch, [frames])`; that of a clip is predicted from every frame.
        weights: optional `(batch, [frames])`; 0 leaves a vector out.

    Returns:
        The cross-entropy, in nats, and the share of codes that are found.

    Example:

    >>> layer = CodeDiscriminator(4)
    >>> x, codes = np.zeros((2, 3, 5), "float32"), np.array([1, 2])
    >>> loss, _ = adversarial_loss(layer, x, codes)
    >>> round(float(ops.stop_gradient(loss)), 4)
    1.3863
    """
    logits = discriminator(features)
    logits = ops.cast(logits, variable_dtype(discriminator.dtype_policy))
    if len(indices.shape) < len(logits.shape) - 1:
        indices = ops.broadcast_to(indices[:, None], ops.shape(logits)[:-1])
    chosen = ops.cast(indices, "int32")[..., None]
    entropies = -ops.take_along_axis(ops.log_softmax(logits, axis=-1), chosen, axis=-1)[..., 0]
    hits = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), indices), "float32")
    if weights is not None:
        weights = ops.broadcast_to(ops.cast(weights, logits.dtype), ops.shape(entropies))
    return weighted_mean(entropies, weights), weighted_mean(hits, weights)
