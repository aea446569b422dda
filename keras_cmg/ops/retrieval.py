"""Hits of retrieval among the first k candidates, with explicit treatment of ties."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor

TIES = ("expected", "optimistic", "pessimistic")


def retrieval_hits(scores: Tensor, relevant: Tensor, k: int, ties: str = "expected") -> Tensor:
    """Determines which queries have a relevant candidate among their k best.

    Candidates with the same discrete codes have equal scores, so that the order of ties decides:
    `"expected"` is the probability of a hit if candidates of equal scores are in random order,
    `"optimistic"` ranks a relevant one first among them, `"pessimistic"` last.

    Args:
        scores: `(queries, candidates)`, higher is better.
        relevant: of the same shape, nonzero for relevant candidates; a query without any has no
            hit.
        k: int, number of candidates considered for each query.
        ties: `"expected"`, `"optimistic"` or `"pessimistic"`.

    Returns:
        Float tensor `(queries,)` in [0, 1].

    Raises:
        ValueError: if `k` is below 1, or `ties` is unknown.

    Example:

    >>> scores, relevant = np.array([[0.5, 0.5, 0.1]]), np.array([[1, 0, 0]])
    >>> [float(retrieval_hits(scores, relevant, 1, ties)[0]) for ties in ("expected", "optimistic")]
    [0.5, 1.0]

    References:
        McSherry and Najork (2008), Computing information retrieval performance measures efficiently
        in the presence of tied scores.
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: {k}")
    if ties not in TIES:
        raise ValueError(f"`ties` must be one of {TIES}. Received: {ties!r}")
    scores = ops.convert_to_tensor(scores)
    relevant = ops.cast(ops.convert_to_tensor(relevant), "bool")
    lowest = ops.full_like(scores, -float("inf"))
    best = ops.max(ops.where(relevant, scores, lowest), axis=1, keepdims=True)
    ahead = ops.sum(ops.cast(scores > best, "float32"), axis=1)
    tied = ops.equal(scores, best)
    hits = ops.sum(ops.cast(ops.logical_and(tied, relevant), "float32"), axis=1)
    others = ops.sum(ops.cast(tied, "float32"), axis=1) - hits
    positions = k - ahead
    if ties == "optimistic":
        hit = ops.cast(positions >= 1, "float32")
    elif ties == "pessimistic":
        hit = ops.cast(positions >= others + 1, "float32")
    else:
        # Probability of no relevant candidate in the remaining positions, without replacement.
        no_hit = ops.ones_like(ahead)
        for position in range(k):
            factor = ops.maximum(others - position, 0) / ops.maximum(others + hits - position, 1)
            no_hit = no_hit * ops.where(positions > position, factor, 1.0)
        hit = 1 - no_hit
    return ops.where(hits > 0, hit, 0.0)
