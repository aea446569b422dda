"""Whether the right candidate is among the first k, with ties spelt out."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor

TIES = ("expected", "optimistic", "pessimistic")


def retrieval_hits(scores: Tensor, relevant: Tensor, k: int, ties: str = "expected") -> Tensor:
    """Whether each query finds a relevant candidate among its k best.

    Discrete codes make many candidates exactly alike, so that ties decide: `"expected"` is the
    chance of a hit if equally good candidates come in random order, `"optimistic"` puts a relevant
    one first among its equals, `"pessimistic"` last.

    Args:
        scores: `(queries, candidates)`, the higher the better.
        relevant: of the same shape, nonzero where a candidate is right; a query without any is
            never a hit.
        k: how many candidates a query may show.
        ties: one of `"expected"`, `"optimistic"`, `"pessimistic"`.

    Returns:
        Float tensor `(queries,)` in [0, 1].

    Raises:
        ValueError: `k` is below 1, or `ties` unknown.

    Example:

    >>> scores, right = np.array([[0.5, 0.5, 0.1]]), np.array([[1, 0, 0]])
    >>> [float(retrieval_hits(scores, right, 1, ties)[0]) for ties in ("expected", "optimistic")]
    [0.5, 1.0]
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: {k}")
    if ties not in TIES:
        raise ValueError(f"`ties` must be one of {TIES}. Received: {ties!r}")
    scores = ops.convert_to_tensor(scores)
    relevant = ops.cast(ops.convert_to_tensor(relevant), "bool")
    lowest = ops.full_like(scores, -float("inf"))
    best = ops.max(ops.where(relevant, scores, lowest), axis=1, keepdims=True)
    count = ops.cast(scores > best, "float32")
    ahead = ops.sum(count, axis=1)
    equal = ops.equal(scores, best)
    right = ops.sum(ops.cast(ops.logical_and(equal, relevant), "float32"), axis=1)
    wrong = ops.sum(ops.cast(equal, "float32"), axis=1) - right
    places = k - ahead
    if ties == "optimistic":
        hit = ops.cast(places >= 1, "float32")
    elif ties == "pessimistic":
        hit = ops.cast(places >= wrong + 1, "float32")
    else:
        # Chance that none of the places left falls on a right one, drawn without replacement.
        none = ops.ones_like(ahead)
        for drawn in range(k):
            factor = ops.maximum(wrong - drawn, 0) / ops.maximum(wrong + right - drawn, 1)
            none = none * ops.where(places > drawn, factor, 1.0)
        hit = 1 - none
    return ops.where(right > 0, hit, 0.0)
