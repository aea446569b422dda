"""Pairs that are aligned badly are drawn more often: as weights, so that nothing is drawn."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.masking import exclude
from keras_cmg.types import Tensor


def adaptive_weights(
    losses: Tensor, temperature: float = 1.0, counts: Tensor | None = None
) -> Tensor:
    """How often a sampler that draws by loss would draw each pair, relative to a uniform one.

    The softmax of `losses / temperature`, times the number of pairs: the expectation of drawing
    pairs, without its noise.

    Args:
        losses: float tensor `(...)`; receives no gradient.
        temperature: towards infinity all pairs weigh alike; towards 0 the worst alone counts.
        counts: optional tensor of the same shape; zero leaves a pair out.

    Returns:
        Float tensor of the same shape with mean 1 over the pairs that count.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> [round(float(w), 3) for w in adaptive_weights(np.array([0.0, np.log(3.0)]))]
    [0.5, 1.5]
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    losses = ops.stop_gradient(ops.convert_to_tensor(losses))
    flat = ops.reshape(losses / temperature, (-1,))
    if counts is None:
        counts = ops.ones_like(flat)
    counts = ops.reshape(ops.cast(counts, flat.dtype), (-1,))
    # Not `softmax`, which warns of a single pair.
    shares = ops.exp(ops.log_softmax(exclude(flat, counts))) * counts
    return ops.reshape(shares * ops.sum(counts), ops.shape(losses))
