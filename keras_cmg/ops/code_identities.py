"""Statistics of code indices alone, without the vectors of the codes."""

from __future__ import annotations

from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops.code_activation import ACTIVATIONS, code_activation
from keras_cmg.types import Tensor


def code_histograms(indices: Tensor, num_embeddings: int, mask: Tensor | None = None) -> Tensor:
    """Computes the share of each code among the segments of each clip.

    The histograms are features for a probe or for retrieval that see only which codes a clip uses.

    Args:
        indices: int tensor `(clips, segments)`, or `(clips,)` for one code per clip.
        num_embeddings: int, number of codes.
        mask: optional bool tensor of the same shape; segments that are False are not counted.

    Returns:
        float32 tensor `(clips, num_embeddings)` whose rows sum to one; zeros for a clip without
        segments.

    Example:

    >>> code_histograms(np.array([[0, 2, 2, 1], [1, 1, 1, 0]]), 3).tolist()
    [[0.25, 0.25, 0.5], [0.25, 0.75, 0.0]]
    """
    indices = ops.cast(ops.convert_to_tensor(indices), "int32")
    if len(indices.shape) == 1:
        indices = indices[:, None]
        mask = None if mask is None else ops.convert_to_tensor(mask)[:, None]
    clips = ops.shape(indices)[0]
    # One count for all clips at once: the codes of clip i are numbered from i * num_embeddings on.
    first = ops.arange(clips, dtype="int32")[:, None] * num_embeddings
    weights = ops.ones(ops.shape(indices), "float32")
    if mask is not None:
        weights = weights * ops.cast(mask, "float32")
    counts = engine.segment_sum(
        ops.reshape(weights, (-1,)), ops.reshape(indices + first, (-1,)), clips * num_embeddings
    )
    counts = ops.reshape(counts, (-1, num_embeddings))
    return counts / ops.maximum(ops.sum(counts, axis=1, keepdims=True), 1.0)


def code_overlap(counts: Tensor) -> Tensor:
    """Computes how much the code distributions of each two modalities overlap.

    The overlap is one minus the total variation distance: `sum_k min(p_k, q_k)`.

    Args:
        counts: tensor `(num_embeddings, modalities)`, assignments of each code by modality.

    Returns:
        float32 tensor `(modalities, modalities)` in [0, 1]; zeros for a modality without any
        assignment.

    Example:

    >>> code_overlap(np.array([[3, 1], [1, 1], [0, 2]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    counts = ops.cast(counts, "float32")
    shares = counts / ops.maximum(ops.sum(counts, axis=0, keepdims=True), 1.0)
    return ops.sum(ops.minimum(shares[:, :, None], shares[:, None, :]), axis=0)


def activation_shares(counts: Tensor) -> Tensor:
    """Computes the share of assignments that are to codes of each kind of `code_activation`.

    Args:
        counts: tensor `(num_embeddings, modalities)`, assignments of each code by modality.

    Returns:
        float32 tensor `(4,)`, shares in the order of `ACTIVATIONS`: unused, always 0; specific, one
        modality has more than 95 % of the code's use; partial, neither; shared, every modality has
        at least 5 %. Zeros if there is no assignment.

    Example:

    >>> activation_shares(np.array([[6, 0], [1, 1], [0, 0]])).tolist()
    [0.0, 0.75, 0.0, 0.25]
    """
    counts = ops.cast(counts, "float32")
    uses = ops.sum(counts, axis=1)
    kinds = code_activation(counts)
    shares = [
        ops.sum(ops.where(ops.equal(kinds, kind), uses, 0.0)) for kind in range(len(ACTIVATIONS))
    ]
    return ops.stack(shares) / ops.maximum(ops.sum(uses), 1.0)
