"""Jigsaw puzzles of quantised features whose pieces come from several modalities (MICU)."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from keras import ops

from keras_cmg.ops.masking import weighted_mean
from keras_cmg.types import Tensor


def jigsaw_orders(num_pieces: int) -> np.ndarray:
    """Returns all orders of pieces, in lexicographic order.

    Args:
        num_pieces: int, number of pieces.

    Returns:
        int array `(orders, num_pieces)`; each row is a permutation.

    Example:

    >>> jigsaw_orders(2).tolist()
    [[0, 1], [1, 0]]
    """
    return np.array(list(permutations(range(num_pieces))))


def jigsaw_rows(features: Tensor, parts: Tensor, orders: np.ndarray) -> Tensor:
    """Puts pieces of vectors of several modalities together in several orders.

    Vectors are cut into pieces of equal length. The piece at each position is that of one modality,
    the same for all vectors; then the pieces are put into each order.

    Args:
        features: float tensor `(modalities, ..., dim)`.
        parts: int tensor `(pieces,)`, the modality of the piece at each position.
        orders: int array `(orders, pieces)`; its row l lists the pieces of order l from first to
            last.

    Returns:
        Float tensor `(..., orders, dim)`.

    Raises:
        ValueError: if `dim` is not a multiple of the number of pieces.

    Example:

    >>> x = np.array([[[1, 2]], [[3, 4]]], "float32")
    >>> jigsaw_rows(x, np.array([1, 0]), jigsaw_orders(2)).tolist()
    [[[3.0, 2.0], [2.0, 3.0]]]

    References:
        Noroozi and Favaro (2016), Unsupervised Learning of Visual Representations by Solving Jigsaw
        Puzzles; Huang et al. (2025), Open-set Cross Modal Generalization via Multimodal Unified
        Representation (cross-modal unified jigsaw puzzles).
    """
    features = ops.convert_to_tensor(features)
    orders = np.asarray(orders)
    dim, count = features.shape[-1], orders.shape[1]
    if dim % count:
        raise ValueError(
            f"`features` must have a last axis that {count} pieces divide. Received: {dim}"
        )
    width = dim // count
    parts = ops.cast(parts, "int32")
    pieces = [
        ops.take(features[..., i * width : (i + 1) * width], parts[i], axis=0) for i in range(count)
    ]
    puzzles = [ops.concatenate([pieces[i] for i in order], axis=-1) for order in orders]
    return ops.stack(puzzles, axis=-2)


def jigsaw_loss(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """Computes the cross-entropy of telling in which order the pieces of vectors are.

    Args:
        logits: float tensor `(..., orders, orders)`: those of `logits[..., l, :]` are of vectors in
            order l.
        weights: optional `(...)`; 0 leaves a vector out.

    Returns:
        Scalar, in nats.

    Example:

    >>> round(float(jigsaw_loss(np.zeros((3, 2, 2), "float32"))), 4)
    0.6931

    References:
        Noroozi and Favaro (2016), Unsupervised Learning of Visual Representations by Solving Jigsaw
        Puzzles.
    """
    log_p = ops.log_softmax(ops.convert_to_tensor(logits), axis=-1)
    right = ops.mean(ops.diagonal(log_p, axis1=-2, axis2=-1), axis=-1)
    return -weighted_mean(right, weights)


def jigsaw_accuracy(logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """Computes the share of vectors for whose order the right logit is the largest.

    Args:
        logits: as for `jigsaw_loss`.
        weights: as for `jigsaw_loss`.

    Returns:
        Scalar between 0 and 1.

    Example:

    >>> float(jigsaw_accuracy(np.eye(2, dtype="float32")[None]))
    1.0
    """
    best = ops.cast(ops.argmax(logits, axis=-1), "int32")
    hits = ops.equal(best, ops.arange(logits.shape[-1], dtype="int32"))
    return weighted_mean(ops.mean(ops.cast(hits, "float32"), axis=-1), weights)
