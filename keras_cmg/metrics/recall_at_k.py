"""Retrieval: how often the right partner is among the first k."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.metrics.running_mean import RunningMean
from keras_cmg.ops import retrieval

DIRECTIONS = ("forward", "backward", "both")


@keras.saving.register_keras_serializable("keras_cmg")
class RecallAtK(RunningMean):
    """Share of queries that have a right candidate among their k best.

    Discrete codes tie often; see `keras_cmg.ops.retrieval_hits` for how ties are counted.

    Args:
        k: how many candidates a query may show.
        direction: `"forward"`: rows ask, columns answer; `"backward"`: columns ask; `"both"`: all
            ask, and the result is the mean of the two directions where both have as many queries.
            The last two need all rows in one call.
        ties: `"expected"`, `"optimistic"` or `"pessimistic"`.
        name: of the metric.
        dtype: of its state.

    Call arguments:
        y_true: `(queries, candidates)`, nonzero where a candidate is right; or int `(queries,)`,
            the number of the one right candidate.
        y_pred: `(queries, candidates)`, such as cosine similarities; the higher the better.
        sample_weight: optional, a scalar or `(queries,)`; with `"forward"` alone.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if `k` is below 1, a name unknown, a shape does not fit, or weights come with
            another direction than forward.

    Example:

    >>> metric = RecallAtK(k=1, direction="both")
    >>> metric.update_state(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.3]]))
    >>> float(metric.result())
    0.75
    """

    def __init__(
        self,
        k: int = 1,
        direction: str = "forward",
        ties: str = "expected",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name or f"recall_at_{k}", dtype=dtype)
        if k < 1:
            raise ValueError(f"`k` must be at least 1. Received: {k}")
        if direction not in DIRECTIONS:
            raise ValueError(f"`direction` must be one of {DIRECTIONS}. Received: {direction!r}")
        if ties not in retrieval.TIES:
            raise ValueError(f"`ties` must be one of {retrieval.TIES}. Received: {ties!r}")
        self.k = k
        self.direction = direction
        self.ties = ties

    def values(self, y_true, y_pred):
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        if len(y_true.shape) == 1 and len(y_pred.shape) == 2:
            y_true = ops.equal(
                ops.cast(y_true, "int32")[:, None], ops.arange(ops.shape(y_pred)[1], dtype="int32")
            )
        if len(y_pred.shape) != 2 or tuple(y_true.shape) != tuple(y_pred.shape):
            raise ValueError(
                "RecallAtK takes scores (queries, candidates) and what is right in the same shape "
                "or as (queries,). "
                f"Received shapes {tuple(y_pred.shape)} and {tuple(y_true.shape)}."
            )
        hits = []
        if self.direction != "backward":
            hits.append(retrieval.retrieval_hits(y_pred, y_true, self.k, self.ties))
        if self.direction != "forward":
            scores, right = ops.transpose(y_pred), ops.transpose(y_true)
            hits.append(retrieval.retrieval_hits(scores, right, self.k, self.ties))
        return ops.concatenate(hits)

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and self.direction != "forward":
            raise ValueError("RecallAtK takes `sample_weight` with direction 'forward' alone.")
        super().update_state(y_true, y_pred, sample_weight)

    def get_config(self):
        names = ("k", "direction", "ties")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
