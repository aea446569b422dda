"""Swapped prediction of codes: each modality predicts the assignment of the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from keras import ops

from keras_cmg.ops import masking, optimal_transport
from keras_cmg.types import Tensor


def balanced_assignments(
    similarities: Tensor,
    temperature: float = 0.05,
    num_iterations: int = 5,
    weights: Tensor | None = None,
) -> Tensor:
    """Computes assignments of vectors to codes in which every code has the same share.

    The assignments are the rows of the transport plan between the vectors of the batch and the
    codes, see `keras_cmg.ops.sinkhorn`. Where each modality is assigned by itself, all of them use
    all codes, which rules out codes that belong to one modality.

    Args:
        similarities: float tensor `(batch, [frames,] codes)`, cosine similarities.
        temperature: float, weight of the plan's entropy.
        num_iterations: int, Sinkhorn iterations.
        weights: optional `(batch, [frames])`; vectors of weight 0 are left out of the plan.

    Returns:
        Float tensor `(batch, [frames,] codes)` without gradient; distributions over codes, zeros
        for vectors of weight 0.

    Raises:
        ValueError: as `keras_cmg.ops.sinkhorn`.

    Example:

    >>> similar = np.array([[0.9, 0.1], [0.8, 0.7]], "float32")
    >>> [[round(float(v), 2) for v in row] for row in balanced_assignments(similar, 0.01)]
    [[0.92, 0.08], [0.08, 0.92]]

    References:
        Caron et al. (2020), Unsupervised Learning of Visual Features by Contrasting Cluster
        Assignments, Eqs. 3-5; Duan et al. (2022), Multi-modal Alignment using Representation
        Codebook.
    """
    similarities = ops.stop_gradient(ops.convert_to_tensor(similarities))
    rows = ops.reshape(similarities, (-1, similarities.shape[-1]))
    if weights is not None:
        shape = ops.shape(similarities)[:-1]
        weights = ops.reshape(ops.broadcast_to(ops.cast(weights, rows.dtype), shape), (-1,))
    plan = optimal_transport.sinkhorn(rows, temperature, num_iterations, weights)
    assigned = optimal_transport.assignments(ops.stop_gradient(plan))
    return ops.reshape(assigned, ops.shape(similarities))


def code_prediction_loss(
    similarities: Mapping[str, Tensor],
    assignments: Mapping[str, Tensor],
    temperature: float = 0.1,
    weights: Mapping[str, Tensor] | None = None,
    aligned: Sequence[str] | None = None,
) -> Tensor:
    """Computes the cross-entropy of each modality's codes with the assignments of the others.

    Each modality's distribution over codes is a softmax of its similarities. Where two modalities
    have the same frames, each frame predicts the assignment of the other at that frame. Where they
    have not, such as seconds and words, clips are compared: the mean of the distributions of a
    clip's frames predicts the mean assignment of the other's frames. The gradient then reaches a
    frame as far as it holds the codes of the target already, so that frames in which something else
    is heard or seen keep codes of their own.

    Args:
        similarities: modality to `(batch, [frames,] codes)`, cosine similarities to the codes.
        assignments: modality to distributions over codes of the same shape, the targets.
        temperature: float, of the softmax.
        weights: optional, modality to `(batch, [frames])`; frames of weight 0 count neither as
            predictions nor as targets, and a clip without any frame is no target.
        aligned: optional, names of the modalities whose frames are the same moments of a clip, as
            `CoarseLevel.fine`; None for all that have the same number of frames.

    Returns:
        Scalar, in nats: the mean over both directions, the sum over pairs of modalities.

    Example:

    >>> similar = {"audio": np.eye(2, dtype="float32"), "text": np.eye(2, dtype="float32")}
    >>> round(float(code_prediction_loss(similar, similar, temperature=1.0)), 4)
    0.3133

    References:
        Caron et al. (2020), Unsupervised Learning of Visual Features by Contrasting Cluster
        Assignments, Eqs. 1-2; Duan et al. (2022), Multi-modal Alignment using Representation
        Codebook.
    """
    weights = weights or {}
    log_p = {
        name: ops.log_softmax(ops.convert_to_tensor(x) / temperature, axis=-1)
        for name, x in similarities.items()
    }
    targets = {name: ops.convert_to_tensor(assignments[name]) for name in log_p}
    losses = []
    for a, b in combinations(log_p, 2):
        framed = log_p[a].shape[1:-1] == log_p[b].shape[1:-1]
        if aligned is not None and not {a, b} <= set(aligned):
            framed = len(log_p[a].shape) == len(log_p[b].shape) == 2
        for student, teacher in ((a, b), (b, a)):
            predicted, target = log_p[student], targets[teacher]
            kept = [weights.get(name) for name in (student, teacher)]
            if not framed:
                predicted = _log_mean_over_frames(predicted, kept[0])
                target = _mean_over_frames(target, kept[1])
                kept = [None if mask is None else masking.presence(mask) for mask in kept]
            entropies = -ops.sum(target * predicted, axis=-1)
            counts = [masking.weights_like(mask, predicted) for mask in kept if mask is not None]
            losses.append(masking.weighted_mean(entropies, math.prod(counts) if counts else None))
    return sum(losses) / 2


def _mean_over_frames(x: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of distributions over the frames of a clip, of those that the mask keeps."""
    if len(x.shape) == 2:
        return x
    return masking.mean_over_time(x, mask if mask is not None and len(mask.shape) == 2 else None)


def _log_mean_over_frames(log_p: Tensor, mask: Tensor | None) -> Tensor:
    """The logarithm of the same, of logarithms."""
    if len(log_p.shape) == 2:
        return log_p
    if mask is None or len(mask.shape) == 1:
        count = ops.cast(ops.convert_to_tensor(ops.shape(log_p)[1]), log_p.dtype)
        return ops.logsumexp(log_p, axis=1) - ops.log(count)
    count = ops.maximum(ops.sum(ops.cast(mask, log_p.dtype), axis=1, keepdims=True), 1.0)
    kept = masking.mask_logits(log_p, mask[..., None])
    return ops.logsumexp(kept, axis=1) - ops.log(count)
