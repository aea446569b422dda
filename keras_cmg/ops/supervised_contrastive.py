"""Supervised contrastive learning, and the distance loss of specific features."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.contrastive import cosine_logits, l2_normalize
from keras_cmg.ops.masking import mask_logits, weighted_mean
from keras_cmg.types import Tensor


def same_event(labels: Tensor) -> Tensor:
    """Determines which clips of a batch share an event class.

    Args:
        labels: `(batch, frames, classes + 1)` or `(batch, classes + 1)`, multi-hot; the last
            column is background, which is ignored.

    Returns:
        Float tensor `(batch, batch)` of zeros and ones, with ones on the diagonal.

    Raises:
        ValueError: if labels are of another rank, such as class indices.

    Example:

    >>> labels = np.array([[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 1]]])
    >>> same_event(labels).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) not in (2, 3):
        raise ValueError(
            "`labels` must be multi-hot, with shape (batch, [frames,] classes + 1). "
            f"Received shape {tuple(labels.shape)}."
        )
    events = ops.cast(ops.cast(labels[..., :-1], "bool"), "float32")
    if len(events.shape) == 3:
        events = ops.max(events, axis=1)
    shared = ops.cast(ops.matmul(events, ops.transpose(events)) > 0, "float32")
    return ops.maximum(shared, ops.eye(ops.shape(shared)[0], dtype="float32"))


def supervised_contrastive_loss(
    x: Tensor, positives: Tensor, temperature: float = 0.1, present: Tensor | None = None
) -> Tensor:
    """Computes the supervised contrastive loss on cosine similarities.

    The mean over anchors of the mean over their positives of `-log softmax` over all vectors but
    the anchor.

    Args:
        x: float tensor `(count, dim)`.
        positives: `(count, count)`, nonzero for pairs of the same group; the diagonal is ignored.
        temperature: float, temperature of the softmax.
        present: optional `(count,)`; vectors of value zero are neither anchors nor candidates.

    Returns:
        Scalar, in nats; 0 if no vector has a positive.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> x = np.ones((4, 2), "float32")
    >>> round(float(supervised_contrastive_loss(x, np.ones((4, 4)))), 4)
    1.0986

    References:
        Khosla et al. (2020), Supervised Contrastive Learning, Eq. 2.
    """
    logits = cosine_logits(x, x, temperature)
    others = 1 - ops.eye(ops.shape(logits)[0], dtype=logits.dtype)
    if present is not None:
        present = ops.cast(present, logits.dtype)
        others = others * present[:, None] * present[None, :]
    pairs = ops.cast(ops.cast(positives, "bool"), logits.dtype) * others
    log_p = ops.log_softmax(mask_logits(logits, others), axis=1)
    # Masked candidates have a logarithm of -1e9, which must not be multiplied by a zero weight.
    log_p = ops.where(pairs > 0, log_p, 0.0)
    count = ops.sum(pairs, axis=1)
    anchors = -ops.sum(log_p, axis=1) / ops.maximum(count, 1.0)
    return ops.sum(anchors) / ops.maximum(ops.sum(ops.cast(count > 0, logits.dtype)), 1.0)


def distance_loss(
    x: Tensor, y: Tensor, weights: Tensor | None = None, normalize: bool = False
) -> Tensor:
    """Computes minus the mean squared distance of two features of a clip.

    Args:
        x: float tensor `(batch, dim)`.
        y: float tensor `(batch, dim)`.
        weights: optional `(batch,)`; clips of weight 0 are ignored.
        normalize: bool, whether vectors are scaled to unit length, where the loss `2 cos - 2` lies
            between -4 and 0; otherwise it is divided by `dim` and has no lower bound.

    Returns:
        Scalar.

    Example:

    >>> x, y = np.array([[3.0, 0.0]], "float32"), np.array([[0.0, 3.0]], "float32")
    >>> float(distance_loss(x, y)), round(float(distance_loss(x, y, normalize=True)), 5)
    (-9.0, -2.0)

    References:
        Dong et al. (2023), SimMMDG: A Simple and Effective Framework for Multi-modal Domain
        Generalization.
    """
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    if normalize:
        x, y = l2_normalize(x), l2_normalize(y)
        distances = ops.sum(ops.square(x - y), axis=-1)
    else:
        distances = ops.mean(ops.square(x - y), axis=-1)
    return -weighted_mean(distances, weights)
