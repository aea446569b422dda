"""Vectors whose chunks of channels have a code each: distributions over codes, parts, spread."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.contrastive import Present, diagonal_cross_entropy, l2_normalize
from keras_cmg.ops.masking import mask_logits
from keras_cmg.types import Tensor


def normalize_chunks(x: Tensor, chunk_dim: int) -> Tensor:
    """Scales each chunk of channels to unit length; a zero chunk remains zero.

    Args:
        x: float tensor `(..., dim)`.
        chunk_dim: int, channels of a chunk; divides `dim`.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> normalize_chunks(np.array([[3.0, 4.0, 0.0, 2.0]], "float32"), 2).tolist()
    [[0.6..., 0.8..., 0.0, 1.0]]

    References:
        Chen et al. (2026), CodeBind: Decoupled Representation Learning for Multimodal Alignment
        with Unified Compositional Codebook.
    """
    x = ops.convert_to_tensor(x)
    shape = ops.shape(x)
    chunks = ops.reshape(x, (*shape[:-1], x.shape[-1] // chunk_dim, chunk_dim))
    return ops.reshape(l2_normalize(chunks), shape)


def chunk_code_log_probabilities(x: Tensor, codebook: Tensor) -> Tensor:
    """Computes the log-probabilities of codes for each chunk: a softmax of cosine similarities.

    Args:
        x: float tensor `(batch, dim)`; chunks are as wide as a code.
        codebook: float tensor `(num_embeddings, chunk_dim)`, codes of unit length; receives no
            gradient.

    Returns:
        Float tensor `(chunks, batch, num_embeddings)`.

    Example:

    >>> p = ops.exp(chunk_code_log_probabilities(np.array([[0.0, 0.0, 1.0, 0.0]]), np.eye(2)))
    >>> [[round(float(v), 3) for v in row[0]] for row in p]
    [[0.5, 0.5], [0.731, 0.269]]

    References:
        Chen et al. (2026), CodeBind: Decoupled Representation Learning for Multimodal Alignment
        with Unified Compositional Codebook.
    """
    codebook = ops.stop_gradient(ops.convert_to_tensor(codebook))
    chunk_dim = codebook.shape[-1]
    x = ops.cast(x, codebook.dtype)
    chunks = ops.reshape(x, (-1, x.shape[-1] // chunk_dim, chunk_dim))
    chunks = ops.transpose(l2_normalize(chunks), (1, 0, 2))
    return ops.log_softmax(ops.matmul(chunks, ops.transpose(codebook)), axis=-1)


def chunk_matching_loss(log_p: Tensor, log_q: Tensor, present: Present | None = None) -> Tensor:
    """Computes the cross-entropy of finding partners by the code distributions of chunks.

    The scores of clips i and j are `p_i . log q_j + q_j . log p_i`, for each chunk by itself; the
    loss is the mean over chunks.

    Args:
        log_p: float tensor `(chunks, batch, num_embeddings)` of log-probabilities.
        log_q: float tensor of the same shape, of the other modality.
        present: optional, clips that have the one and the other modality, `(batch,)` each.

    Returns:
        Scalar, in nats.

    Example:

    >>> p = np.log(np.full((3, 2, 4), 0.25, "float32"))
    >>> round(float(chunk_matching_loss(p, p)), 4)
    0.6931

    References:
        Liu et al. (2021), Cross-Modal Discrete Representation Learning; Chen et al. (2026),
        CodeBind.
    """
    forward = ops.matmul(ops.exp(log_p), ops.swapaxes(log_q, -1, -2))
    backward = ops.matmul(log_p, ops.swapaxes(ops.exp(log_q), -1, -2))
    if present is not None:
        shape = ops.shape(forward)[:-1]
        present = tuple(ops.broadcast_to(part[None], shape) for part in present)
    return diagonal_cross_entropy(forward + backward, present=present)


def frame_overlap(x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    """Computes how much the frames of two parts of a clip overlap.

    The Frobenius norm of the matrix of cosine similarities of all frames of the one with all frames
    of the other.

    Args:
        x: float tensor `(batch, frames, dim)`.
        y: float tensor of the same shape.
        weights: optional `(batch, frames)`; frames of weight zero do not count.

    Returns:
        Float tensor `(batch,)`; zero where all frames are orthogonal.

    Example:

    >>> x = np.array([[[1.0, 0.0], [2.0, 0.0]]], "float32")
    >>> [round(float(frame_overlap(x, y)[0]), 4) for y in (x, x[..., ::-1])]
    [2.0, 0.0]

    References:
        Chen et al. (2026), CodeBind (decomposition of modalities).
    """
    x, y = l2_normalize(x), l2_normalize(y)
    squares = ops.square(ops.matmul(x, ops.swapaxes(y, -1, -2)))
    if weights is not None:
        weights = ops.cast(weights, squares.dtype)
        squares = squares * weights[:, :, None] * weights[:, None, :]
    total = ops.sum(squares, axis=(1, 2))
    # The gradient of the root is infinite at zero.
    some = total > 1e-12
    return ops.where(some, ops.sqrt(ops.where(some, total, 1.0)), 0.0)


def uniformity_loss(x: Tensor, weights: Tensor | None = None) -> Tensor:
    """Computes how evenly vectors spread on the sphere: `log mean_{i != j} exp(-|x_i - x_j|^2)`.

    Args:
        x: float tensor `(batch, dim)`; vectors are scaled to unit length.
        weights: optional `(batch,)` of zeros and ones; 0 leaves a vector out.

    Returns:
        Scalar, from -4 to 0: 0 where all are equal, or there is no pair.

    Example:

    >>> round(float(uniformity_loss(np.array([[1.0, 0.0], [-3.0, 0.0]], "float32"))), 4)
    -4.0

    References:
        Wang and Isola (2020), Understanding Contrastive Representation Learning through Alignment
        and Uniformity on the Hypersphere, section 4.1 (with t = 1).
    """
    x = l2_normalize(x)
    squared = 2 - 2 * ops.matmul(x, ops.transpose(x))
    count = ops.shape(x)[0]
    pairs = 1 - ops.eye(count, dtype=squared.dtype)
    if weights is not None:
        weights = ops.cast(weights, squared.dtype)
        pairs = pairs * weights[:, None] * weights[None, :]
    number = ops.sum(pairs)
    spread = ops.logsumexp(mask_logits(-squared, pairs)) - ops.log(ops.maximum(number, 1.0))
    return ops.where(number > 0, spread, 0.0)
