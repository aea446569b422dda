"""Recall at k of retrieval."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.metrics.running_mean import RunningMean
from keras_cmg.ops import retrieval

DIRECTIONS = ("forward", "backward", "both")


@keras.saving.register_keras_serializable("keras_cmg")
class RecallAtK(RunningMean):
    """Computes the share of queries with a relevant candidate among their k best.

    Discrete codes often tie; see `keras_cmg.ops.retrieval_hits` for how ties are counted.

    Args:
        k: int, number of candidates considered for each query.
        direction: `"forward"`, rows are queries and columns candidates; `"backward"`, columns are
            queries; `"both"`, the mean over the queries of both directions. The last two need all
            rows in one call.
        ties: `"expected"`, `"optimistic"` or `"pessimistic"`.
        name: str, name of the metric.
        dtype: dtype of the state.

    Call arguments:
        y_true: `(queries, candidates)`, nonzero where a candidate is relevant; or int `(queries,)`,
            the index of the relevant candidate.
        y_pred: `(queries, candidates)` scores, such as cosine similarities; higher is better.
        sample_weight: optional, a scalar or `(queries,)`; for direction `"forward"` alone.

    Returns:
        Scalar in [0, 1].

    Raises:
        ValueError: if `k` is below 1, `direction` or `ties` is unknown, the shapes differ, or
            `sample_weight` is passed with a direction other than `"forward"`.

    Example:

    >>> metric = keras_cmg.metrics.RecallAtK(k=1, direction="both")
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
        require_sizes(k=k)
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
                "`y_pred` must have shape (queries, candidates), and `y_true` the same shape or "
                "(queries,). "
                f"Received shapes {tuple(y_pred.shape)} and {tuple(y_true.shape)}."
            )
        hits = []
        if self.direction != "backward":
            hits.append(retrieval.retrieval_hits(y_pred, y_true, self.k, self.ties))
        if self.direction != "forward":
            scores, relevant = ops.transpose(y_pred), ops.transpose(y_true)
            hits.append(retrieval.retrieval_hits(scores, relevant, self.k, self.ties))
        return ops.concatenate(hits)

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and self.direction != "forward":
            raise ValueError(
                "`sample_weight` must be None unless `direction` is 'forward'. "
                f"Received: direction={self.direction!r}"
            )
        super().update_state(y_true, y_pred, sample_weight)

    def get_config(self):
        names = ("k", "direction", "ties")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
