"""Contrastive losses: InfoNCE on clips, and its use in contrastive predictive coding."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor


def diagonal_cross_entropy(logits: Tensor, axis: int = -1) -> Tensor:
    """Mean of `-log softmax(logits)[i, i]`: pick the true partner out of the batch.

    Args:
        logits: float tensor `(batch, batch)`.
        axis: the axis of the candidates, over which the softmax runs.

    Returns:
        Scalar, in nats; `ln(batch)` where all logits are equal.

    Example:

    >>> round(float(diagonal_cross_entropy(np.zeros((4, 4), "float32"))), 4)
    1.3863
    """
    return -ops.mean(ops.diagonal(ops.log_softmax(logits, axis=axis)))


def diagonal_accuracy(logits: Tensor, axis: int = -1) -> Tensor:
    """Share of the batch whose true partner has the highest logit.

    Args:
        logits: float tensor `(batch, batch)`.
        axis: the axis of the candidates.

    Returns:
        Scalar between 0 and 1.

    Example:

    >>> float(diagonal_accuracy(np.eye(3, dtype="float32")))
    1.0
    """
    best = ops.cast(ops.argmax(logits, axis=axis), "int32")
    hits = ops.equal(best, ops.arange(ops.shape(logits)[0], dtype="int32"))
    return ops.mean(ops.cast(hits, "float32"))


def info_nce(
    queries: Tensor, keys: Tensor, temperature: float = 1.0, symmetric: bool = False
) -> Tensor:
    """InfoNCE on cosine similarities: each query finds its own key among the batch's keys.

    van den Oord et al. (2018), Eq. 4; the paper's Eq. 10.

    Args:
        queries: float tensor `(batch, dim)`.
        keys: float tensor `(batch, dim)`, row i belongs to query i.
        temperature: the paper's tau.
        symmetric: averages both directions; otherwise only query to key.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> x = np.ones((2, 3), "float32")
    >>> round(float(info_nce(x, x)), 4)
    0.6931
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    queries = ops.normalize(queries, axis=-1)
    keys = ops.normalize(keys, axis=-1)
    logits = ops.matmul(queries, ops.transpose(keys)) / temperature
    loss = diagonal_cross_entropy(logits)
    if symmetric:
        loss = (loss + diagonal_cross_entropy(logits, axis=0)) / 2
    return loss


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


def cpc_loss(logits: Tensor, candidates: str = "targets") -> Tensor:
    """Contrastive predictive coding: InfoNCE between predictions and true future features.

    Args:
        logits: float tensor `(steps, batch, batch)` of `prediction_logits`.
        candidates: `"targets"`, each prediction finds its target among the batch's (van den Oord
            et al., 2018); `"predictions"`, each target finds its prediction (the authors' code).

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
    log_p = ops.log_softmax(logits, axis=1 if candidates == "targets" else 2)
    return -ops.mean(ops.diagonal(log_p, axis1=1, axis2=2))
