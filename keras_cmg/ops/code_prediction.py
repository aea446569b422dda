"""Swapped prediction of codes: each modality predicts the assignment of the others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from keras import ops

from keras_cmg.ops import masking, optimal_transport
from keras_cmg.ops.quantization import as_frames_of
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
) -> Tensor:
    """Computes the cross-entropy of each modality's codes with the assignments of the others.

    Each modality's distribution over codes is a softmax of its similarities. Where two modalities
    have different frames, the mean assignment of the clip is the target of every frame.

    Args:
        similarities: modality to `(batch, [frames,] codes)`, cosine similarities to the codes.
        assignments: modality to distributions over codes of the same shape, the targets.
        temperature: float, of the softmax.
        weights: optional, modality to `(batch, [frames])`; frames of weight 0 count neither as
            predictions nor as targets, and a clip without any frame is no target.

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
    losses = []
    for a, b in combinations(log_p, 2):
        for student, teacher in ((a, b), (b, a)):
            predicted = log_p[student]
            target = as_frames_of(
                ops.convert_to_tensor(assignments[teacher]), predicted, weights.get(teacher)
            )
            entropies = -ops.sum(target * predicted, axis=-1)
            counts = weights.get(student)
            if teacher in weights:
                present = masking.weights_like(weights[teacher], predicted)
                counts = present if counts is None else counts * present
            losses.append(masking.weighted_mean(entropies, counts))
    return sum(losses) / 2
