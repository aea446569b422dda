"""Weights of pairs in place of sampling pairs by their loss."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.masking import mask_logits
from keras_cmg.types import Tensor


def adaptive_weights(
    losses: Tensor, temperature: float = 1.0, counts: Tensor | None = None
) -> Tensor:
    """Computes the expected number of draws of each pair by a sampler that prefers high losses.

    `w_i = n softmax_i(losses / temperature)` for n pairs: the expectation of sampling n pairs,
    without its variance.

    Args:
        losses: float tensor `(...)`; receives no gradient.
        temperature: float; with higher values weights are more equal, near 0 the pair with the
            highest loss has all of the weight.
        counts: optional tensor of the same shape; pairs of count zero get weight zero.

    Returns:
        Float tensor of the same shape, with mean 1 over the pairs of nonzero count.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> [round(float(w), 3) for w in adaptive_weights(np.array([0.0, np.log(3.0)]))]
    [0.5, 1.5]

    References:
        Zhao et al. (2022), Towards Effective Multi-Modal Interchanges in Zero-Resource Sounding
        Object Localization, section 3 (adaptive sampling).
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    losses = ops.stop_gradient(ops.convert_to_tensor(losses))
    flat = ops.reshape(losses / temperature, (-1,))
    if counts is None:
        counts = ops.ones_like(flat)
    counts = ops.reshape(ops.cast(counts, flat.dtype), (-1,))
    # `softmax` warns of a single pair.
    shares = ops.exp(ops.log_softmax(mask_logits(flat, counts))) * counts
    return ops.reshape(shares * ops.sum(counts), ops.shape(losses))
