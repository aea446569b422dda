"""Cross-modal code matching (CMCM): paired clips should have the same distribution over codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops.contrastive import Present, diagonal_cross_entropy
from keras_cmg.ops.masking import mask_logits, pair_presence, weighted_mean, weights_like
from keras_cmg.ops.quantization import codebook_center
from keras_cmg.types import Tensor

KINDS = ("symmetric", "reference")


def code_log_probabilities(x: Tensor, codebook: Tensor, weights: Tensor | None = None) -> Tensor:
    """Computes the log-probabilities of codes: a softmax of minus the Euclidean distances.

    `log mean_t softmax_j(-||x_t - e_j||)`. Distances are computed relative to a point amid the
    codes, so that they are exact wherever the codebook lies.

    Args:
        x: float tensor `(batch, [frames,] dim)`.
        codebook: float tensor `(num_embeddings, dim)`; receives no gradient.
        weights: optional `(batch, frames)`; frames of weight zero are left out of the mean.

    Returns:
        Float tensor `(batch, num_embeddings)` of log-probabilities.

    Example:

    >>> p = ops.exp(code_log_probabilities(np.zeros((1, 2)), np.eye(2)))
    >>> [round(float(v), 3) for v in p[0]]
    [0.5, 0.5]

    References:
        Liu et al. (2021), Cross-Modal Discrete Representation Learning.
    """
    codebook = ops.stop_gradient(ops.convert_to_tensor(codebook))
    x = ops.cast(x, codebook.dtype)
    # Relative to a point amid the codes, squares have the size of distances and keep their digits.
    center = codebook_center(codebook)
    x, codes = x - center, codebook - center
    squared = (
        ops.sum(ops.square(x), axis=-1, keepdims=True)
        - 2 * engine.matmul(x, ops.transpose(codes))
        + ops.sum(ops.square(codes), axis=1)
    )
    # The gradient of the root overflows at smaller values.
    log_p = ops.log_softmax(-ops.sqrt(ops.maximum(squared, 1e-12)), axis=-1)
    if len(log_p.shape) == 2:
        return log_p
    if weights is None or len(weights.shape) != 2:
        return ops.logsumexp(log_p, axis=1) - ops.log(ops.cast(ops.shape(log_p)[1], log_p.dtype))
    weights = ops.broadcast_to(ops.cast(weights, log_p.dtype), ops.shape(log_p)[:2])
    # A clip without any frame keeps all of them, so that its values, though unused, are finite.
    weights = ops.where(ops.max(weights, axis=1, keepdims=True) > 0, weights, 1.0)
    kept = ops.logsumexp(mask_logits(log_p, weights[..., None]), axis=1)
    return kept - ops.log(ops.sum(weights, axis=1, keepdims=True))


def code_matching_logits(log_p: Tensor, log_q: Tensor, kind: str = "symmetric") -> Tensor:
    """Computes the similarity of the code distributions of clips i and j of two modalities.

    Args:
        log_p: float tensor `(batch, num_embeddings)` of log-probabilities.
        log_q: float tensor of the same shape, of the other modality.
        kind: `"symmetric"`, `p_i . log q_j + q_j . log p_i`; or `"reference"`, as in the authors'
            code, `p_i . log q_j + q_i . log p_j` with 1e-10 added to the probabilities in the
            logarithm.

    Returns:
        Float tensor `(batch, batch)`.

    Raises:
        ValueError: if `kind` is unknown.

    Example:

    >>> p = np.log(np.full((2, 2), 0.5, "float32"))
    >>> round(float(code_matching_logits(p, p)[0, 1]), 3)
    -1.386

    References:
        Liu et al. (2021), Cross-Modal Discrete Representation Learning.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {KINDS}. Received: {kind!r}")
    p, q = ops.exp(log_p), ops.exp(log_q)
    if kind == "reference":
        floor = ops.convert_to_tensor(math.log(1e-10), dtype=log_p.dtype)
        log_p, log_q = ops.logaddexp(log_p, floor), ops.logaddexp(log_q, floor)
    forward = ops.matmul(p, ops.transpose(log_q))
    backward = ops.matmul(q, ops.transpose(log_p))
    return forward + (ops.transpose(backward) if kind == "symmetric" else backward)


def pair_loss(scores: Tensor, kind: str = "symmetric", present: Present | None = None) -> Tensor:
    """Computes the cross-entropy of identifying each clip's partner by matching scores.

    Args:
        scores: float tensor `(batch, batch)` of `code_matching_logits`.
        kind: `"symmetric"`: the cross-entropy of a softmax over j. `"reference"`: as in the
            authors' code, scores are shifted by the largest negated score and 1e-5 is added to the
            denominator; computed in log space, which cannot overflow.
        present: optional, clips that have the one and the other modality; see
            `keras_cmg.ops.diagonal_cross_entropy`.

    Returns:
        Scalar, in nats.

    Example:

    >>> round(float(pair_loss(np.zeros((2, 2), "float32"))), 4)
    0.6931

    References:
        Liu et al. (2021), Cross-Modal Discrete Representation Learning;
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization.
    """
    scores = ops.convert_to_tensor(scores)
    if kind != "reference":
        return diagonal_cross_entropy(scores, present=present)
    shifted = scores + ops.max(-scores)
    floor = ops.convert_to_tensor(math.log(1e-5), dtype=scores.dtype)
    candidates, complete = shifted, None
    if present is not None:
        candidates, complete = mask_logits(shifted, present[1][None, :]), present[0] * present[1]
    denominator = ops.logaddexp(ops.logsumexp(candidates, axis=1), floor)
    return -weighted_mean(ops.diagonal(shifted) - denominator, complete)


def code_matching_loss(
    features: Mapping[str, Tensor],
    codebook: Tensor | Mapping[str, Tensor],
    kind: str = "symmetric",
    masks: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Computes half the sum over pairs of modalities of the cross-entropy of their matching scores.

    Computed in log space, so that neither distant codes nor coincident ones overflow.

    Args:
        features: modality to float tensor `(batch, [frames,] dim)`.
        codebook: float tensor `(num_embeddings, dim)`, or modality to its own codes, of which those
            of equal index match.
        kind: see `code_matching_logits` and `pair_loss`.
        masks: optional modality to `(batch, frames)` or `(batch,)`, nonzero for valid frames or
            clips.

    Returns:
        Scalar, in nats; zero for a single modality.

    Raises:
        ValueError: if `kind` is unknown.

    Example:

    >>> x = {"audio": np.zeros((2, 3), "float32"), "video": np.zeros((2, 3), "float32")}
    >>> round(float(code_matching_loss(x, np.eye(3, dtype="float32"))), 4)
    0.3466

    References:
        Liu et al. (2021), Cross-Modal Discrete Representation Learning.
    """
    masks = masks or {}
    weights = {name: weights_like(mask, features[name]) for name, mask in masks.items()}
    codebooks = codebook if isinstance(codebook, Mapping) else dict.fromkeys(features, codebook)
    log_p = {
        name: code_log_probabilities(x, codebooks[name], weights.get(name))
        for name, x in features.items()
    }
    terms = []
    for a, b in combinations(log_p, 2):
        present = pair_presence(masks, a, b, ops.shape(log_p[a])[0])
        scores = code_matching_logits(log_p[a], log_p[b], kind)
        terms.append(0.5 * pair_loss(scores, kind, present))
    return sum(terms) if terms else ops.zeros(())
