"""Contrastive losses: InfoNCE on clips or segments, and in contrastive predictive coding."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.masking import exclude, weighted_mean
from keras_cmg.types import Tensor

Present = tuple[Tensor, Tensor]
"""Which rows and which columns of logits take part: two float tensors `(..., batch)`."""


def diagonal_cross_entropy(
    logits: Tensor, axis: int = -1, present: Present | None = None
) -> Tensor:
    """Mean of `-log softmax(logits)[i, i]`: pick the true partner out of the batch.

    Args:
        logits: float tensor `(..., batch, batch)`, the mean is over all of its diagonals.
        axis: the axis of the candidates, over which the softmax runs.
        present: optional, zero for each row and each column of a clip that lacks the modality: no
            candidate, and no anchor unless both of its sides are there.

    Returns:
        Scalar, in nats; `ln(batch)` where all logits are equal; 0 where no pair is whole.

    Example:

    >>> round(float(diagonal_cross_entropy(np.zeros((4, 4), "float32"))), 4)
    1.3863
    """
    losses, whole = pair_cross_entropies(logits, axis, present)
    return weighted_mean(losses, None if present is None else whole)


def pair_cross_entropies(
    logits: Tensor, axis: int = -1, present: Present | None = None
) -> tuple[Tensor, Tensor]:
    """`-log softmax(logits)[i, i]` of each pair: the terms of `diagonal_cross_entropy`.

    Args:
        logits: float tensor `(..., batch, batch)`.
        axis: the axis of the candidates.
        present: as for `diagonal_cross_entropy`.

    Returns:
        Losses `(..., batch)` in nats, zero for a pair that is not whole; and which pairs are whole,
        `(..., batch)` of zeros and ones.

    Example:

    >>> losses, whole = pair_cross_entropies(np.zeros((2, 2), "float32"))
    >>> [round(float(v), 4) for v in losses], whole.tolist()
    ([0.6931, 0.6931], [1.0, 1.0])
    """
    logits = _of_candidates(logits, axis, present)
    losses = -ops.diagonal(ops.log_softmax(logits, axis=axis), axis1=-2, axis2=-1)
    if present is None:
        return losses, ops.ones_like(losses)
    rows, columns = present
    whole = ops.cast(rows * columns, logits.dtype)
    return losses * whole, whole


def _of_candidates(logits: Tensor, axis: int, present: Present | None) -> Tensor:
    """Logits in which candidates that are missing are out of reach."""
    logits = ops.convert_to_tensor(logits)
    if present is None:
        return logits
    rows, columns = present
    last = len(logits.shape) - 1
    return exclude(
        logits, columns[..., None, :] if axis % (last + 1) == last else rows[..., :, None]
    )


def diagonal_accuracy(logits: Tensor, axis: int = -1, present: Present | None = None) -> Tensor:
    """Share of the batch whose true partner has the highest logit.

    Args:
        logits: float tensor `(batch, batch)`.
        axis: the axis of the candidates.
        present: as for `diagonal_cross_entropy`.

    Returns:
        Scalar between 0 and 1.

    Example:

    >>> float(diagonal_accuracy(np.eye(3, dtype="float32")))
    1.0
    """
    logits = _of_candidates(logits, axis, present)
    best = ops.cast(ops.argmax(logits, axis=axis), "int32")
    hits = ops.equal(best, ops.arange(ops.shape(logits)[0], dtype="int32"))
    hits = ops.cast(hits, "float32")
    return weighted_mean(hits, None if present is None else present[0] * present[1])


def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 1.0,
    symmetric: bool = False,
    present: Present | None = None,
) -> Tensor:
    """InfoNCE on cosine similarities: each query finds its own key among the batch's keys.

    van den Oord et al. (2018), Eq. 4; the paper's Eq. 10. Axes before the batch are batches of
    their own, such as the segments of clips: candidates are those of the same segment.

    Args:
        queries: float tensor `(..., batch, dim)`.
        keys: float tensor `(..., batch, dim)`, row i belongs to query i.
        temperature: the paper's tau.
        symmetric: averages both directions; otherwise only query to key.
        present: optional, which queries and which keys exist; see `diagonal_cross_entropy`.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> x = np.ones((2, 3), "float32")
    >>> round(float(info_nce(x, x)), 4)
    0.6931
    """
    logits = cosine_logits(queries, keys, temperature)
    loss = diagonal_cross_entropy(logits, present=present)
    if symmetric:
        loss = (loss + diagonal_cross_entropy(logits, axis=-2, present=present)) / 2
    return loss


def cosine_logits(queries: Tensor, keys: Tensor, temperature: float = 1.0) -> Tensor:
    """Cosine similarity of every query with every key, over the temperature.

    Args:
        queries: float tensor `(..., rows, dim)`.
        keys: float tensor `(..., columns, dim)`.
        temperature: divides the similarities.

    Returns:
        Float tensor `(..., rows, columns)`.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> float(cosine_logits(np.array([[0.0, 2.0]]), np.array([[0.0, 3.0]]), 0.5)[0, 0])
    2.0
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    return ops.matmul(l2_normalize(queries), ops.swapaxes(l2_normalize(keys), -1, -2)) / temperature


def l2_normalize(x: Tensor) -> Tensor:
    """Vectors over their length; a zero vector, which has no direction, stays and gets no gradient.

    Args:
        x: float tensor `(..., dim)`.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> l2_normalize(np.array([[0.0, 2.0], [0.0, 0.0]], "float32")).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    x = ops.convert_to_tensor(x)
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    # Any smaller length is zero for a float32.
    is_vector = squared > 1e-24
    return ops.where(is_vector, x * ops.rsqrt(ops.where(is_vector, squared, 1.0)), 0.0)


def prediction_logits(targets: Tensor, predictions: Tensor) -> Tensor:
    """Dot products of the frames to be predicted with the predictions, for every pair of clips.

    Args:
        targets: float tensor `(steps, batch, dim)`, features of the steps after the context.
        predictions: float tensor `(steps, batch, dim)`.

    Returns:
        Float tensor `(steps, batch, batch)`; rows are targets, columns predictions.

    Example:

    >>> tuple(prediction_logits(np.ones((1, 2, 3)), np.ones((1, 2, 3))).shape)
    (1, 2, 2)
    """
    return ops.matmul(targets, ops.transpose(predictions, (0, 2, 1)))


def cpc_loss(logits: Tensor, candidates: str = "targets", present: Present | None = None) -> Tensor:
    """Contrastive predictive coding: InfoNCE between predictions and true future features.

    Args:
        logits: float tensor `(steps, batch, batch)` of `prediction_logits`.
        candidates: `"targets"`, each prediction finds its target among the batch's (van den Oord
            et al., 2018); `"predictions"`, each target finds its prediction (the authors' code).
        present: optional, which targets `(steps, batch)` and which predictions `(batch,)` exist.

    Returns:
        Scalar: the mean over steps, in nats.

    Raises:
        ValueError: for an unknown `candidates`.

    Example:

    >>> round(float(cpc_loss(np.zeros((1, 4, 4), "float32"))), 4)
    1.3863
    """
    if candidates not in ("targets", "predictions"):
        raise ValueError(
            f"`candidates` must be 'targets' or 'predictions'. Received: {candidates!r}"
        )
    return diagonal_cross_entropy(logits, -2 if candidates == "targets" else -1, present)
