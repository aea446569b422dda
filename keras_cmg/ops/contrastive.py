"""Contrastive losses: InfoNCE of clips or segments, and contrastive predictive coding."""

from __future__ import annotations

import math

from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops.masking import mask_logits, weighted_mean
from keras_cmg.types import Tensor

BLOCK_ELEMENTS = 2**24
"""Similarities that InfoNCE holds at once: 64 MB in float32."""
TIED = 1e-6
"""Relative difference below which logits are equal: rounding may order them either way."""

Present = tuple[Tensor, Tensor]
"""Presence of rows and of columns of logits: two float tensors `(..., batch)` of zeros and ones."""


def diagonal_cross_entropy(
    logits: Tensor, axis: int = -1, present: Present | None = None
) -> Tensor:
    """Computes the mean of `-log softmax(logits)[i, i]`.

    Args:
        logits: float tensor `(..., batch, batch)`; the mean is over all diagonals.
        axis: int, axis of the candidates, over which the softmax is computed.
        present: optional, zero for rows and columns of clips without the modality. They are no
            candidates, and pairs without both modalities are no anchors.

    Returns:
        Scalar, in nats; `ln(batch)` if all logits are equal; 0 if no pair has both modalities.

    Example:

    >>> round(float(diagonal_cross_entropy(np.zeros((4, 4), "float32"))), 4)
    1.3863

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        Eq. 4.
    """
    losses, complete = pair_cross_entropies(logits, axis, present)
    return weighted_mean(losses, None if present is None else complete)


def pair_cross_entropies(
    logits: Tensor, axis: int = -1, present: Present | None = None
) -> tuple[Tensor, Tensor]:
    """Computes `-log softmax(logits)[i, i]` of each pair, the terms of `diagonal_cross_entropy`.

    Args:
        logits: float tensor `(..., batch, batch)`.
        axis: int, axis of the candidates.
        present: as for `diagonal_cross_entropy`.

    Returns:
        Losses `(..., batch)` in nats, zero for incomplete pairs; and `(..., batch)` of zeros and
        ones, one for pairs with both modalities.

    Example:

    >>> losses, complete = pair_cross_entropies(np.zeros((2, 2), "float32"))
    >>> [round(float(v), 4) for v in losses], complete.tolist()
    ([0.6931, 0.6931], [1.0, 1.0])

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        Eq. 4.
    """
    logits = _masked(logits, axis, present)
    losses = -ops.diagonal(ops.log_softmax(logits, axis=axis), axis1=-2, axis2=-1)
    if present is None:
        return losses, ops.ones_like(losses)
    rows, columns = present
    complete = ops.cast(rows * columns, logits.dtype)
    return losses * complete, complete


def _masked(logits: Tensor, axis: int, present: Present | None) -> Tensor:
    """Logits with masked candidates."""
    logits = ops.convert_to_tensor(logits)
    if present is None:
        return logits
    rows, columns = present
    last = len(logits.shape) - 1
    return mask_logits(
        logits, columns[..., None, :] if axis % (last + 1) == last else rows[..., :, None]
    )


def diagonal_accuracy(logits: Tensor, axis: int = -1, present: Present | None = None) -> Tensor:
    """Computes the share of pairs for which the true partner has the highest logit.

    Among equal logits, such as those of two clips with the same caption, the partner counts as the
    share that it has of them: the first would be found by its place, or by rounding.

    Args:
        logits: float tensor `(batch, batch)`.
        axis: int, axis of the candidates.
        present: as for `diagonal_cross_entropy`.

    Returns:
        Scalar between 0 and 1.

    Example:

    >>> float(diagonal_accuracy(np.eye(3, dtype="float32")))
    1.0
    >>> float(diagonal_accuracy(np.ones((4, 4), "float32")))
    0.25
    """
    logits = _masked(logits, axis, present)
    best = ops.max(logits, axis=axis, keepdims=True)
    is_best = ops.cast(logits >= best - TIED * ops.maximum(ops.absolute(best), 1.0), logits.dtype)
    hits = ops.diagonal(is_best) / ops.sum(is_best, axis=axis)
    return weighted_mean(hits, None if present is None else present[0] * present[1])


def info_nce(
    queries: Tensor,
    keys: Tensor,
    temperature: float = 1.0,
    symmetric: bool = False,
    present: Present | None = None,
    num_blocks: int | None = None,
) -> Tensor:
    """Computes InfoNCE on cosine similarities of queries and the keys of the batch.

    Axes before the batch are batches of their own, such as the segments of clips: the candidates of
    a segment are those at the same position.

    The similarities of large batches are computed block by block, and again for the gradient, so
    that they are never in memory all at once. The result is the same.

    Args:
        queries: float tensor `(..., batch, dim)`.
        keys: float tensor `(..., batch, dim)`; row i is the positive of query i.
        temperature: float, the paper's tau.
        symmetric: bool, whether both directions are averaged; otherwise only query to key.
        present: optional, presence of queries and of keys; see `diagonal_cross_entropy`.
        num_blocks: int, number of blocks of rows, at most the batch. If None, as many as keep the
            similarities of a block below `keras_cmg.ops.contrastive.BLOCK_ELEMENTS`; one where the
            size of the batch is not known before run time.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: if `queries` and `keys` differ in shape, `temperature` is not positive, or
            `num_blocks` below 1.

    Example:

    >>> x = np.ones((2, 3), "float32")
    >>> round(float(info_nce(x, x)), 4)
    0.6931

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        Eq. 4; Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Eq. 10.
    """
    if num_blocks is not None and num_blocks < 1:
        raise ValueError(f"`num_blocks` must be at least 1. Received: {num_blocks}")
    _check_pairs(queries, keys)
    blocks = num_blocks or row_blocks(queries.shape)
    if blocks > 1:
        loss = _info_nce_in_blocks(queries, keys, temperature, present, blocks)
        if symmetric:
            other = present and present[::-1]
            loss = (loss + _info_nce_in_blocks(keys, queries, temperature, other, blocks)) / 2
        return loss
    logits = cosine_logits(queries, keys, temperature)
    loss = diagonal_cross_entropy(logits, present=present)
    if symmetric:
        loss = (loss + diagonal_cross_entropy(logits, axis=-2, present=present)) / 2
    return loss


def _check_pairs(queries: Tensor, keys: Tensor) -> None:
    """Raises unless each query has a key, as far as shapes are known."""
    shapes = tuple(queries.shape), tuple(keys.shape)
    pairs = zip(*shapes, strict=False)
    if len(shapes[0]) != len(shapes[1]) or any(None not in p and p[0] != p[1] for p in pairs):
        raise ValueError(
            f"`queries` and `keys` must have the same shape. Received shapes {shapes[0]} and "
            f"{shapes[1]}."
        )


def row_blocks(shape: tuple[int | None, ...]) -> int:
    """Computes how many blocks of rows keep cosine similarities below `BLOCK_ELEMENTS`.

    Args:
        shape: of the queries, `(..., batch, dim)`.

    Returns:
        At least 1, at most the batch; 1 if a size is unknown.

    Example:

    >>> row_blocks((80, 256)), row_blocks((10, 8192, 256)), row_blocks((None, 256))
    (1, 40, 1)
    """
    sizes = tuple(shape)[:-1]
    if not all(isinstance(size, int) for size in sizes):
        return 1
    batch = int(sizes[-1] or 0)
    return max(1, min(batch, -(-math.prod(sizes) * batch // BLOCK_ELEMENTS)))  # type: ignore[arg-type]


def _info_nce_in_blocks(queries, keys, temperature, present, num_blocks):
    """InfoNCE from queries to keys, for a block of queries after the other."""

    def cross_entropies(logits, positives):
        return ops.logsumexp(logits, axis=-1) - ops.sum(
            ops.where(positives, logits, ops.zeros_like(logits)), axis=-1
        )

    losses = _by_row_blocks(cross_entropies, queries, keys, temperature, present, num_blocks)
    return weighted_mean(losses, None if present is None else present[0] * present[1])


def partner_accuracy(
    queries: Tensor, keys: Tensor, present: Present | None = None, num_blocks: int | None = None
) -> Tensor:
    """Computes the share of queries whose own key is the most similar one, by cosine.

    It is `diagonal_accuracy` of `cosine_logits`, in blocks of rows where the batch is large.

    Args:
        queries: float tensor `(batch, dim)`.
        keys: float tensor `(batch, dim)`; row i is the partner of query i.
        present: optional, presence of queries and of keys; see `diagonal_cross_entropy`.
        num_blocks: int, as for `info_nce`.

    Returns:
        Scalar between 0 and 1.

    Raises:
        ValueError: if `queries` and `keys` differ in shape.

    Example:

    >>> float(partner_accuracy(np.eye(3, dtype="float32"), np.eye(3, dtype="float32")))
    1.0

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        section 2.3: the positive is to be found among the samples of the batch.
    """
    _check_pairs(queries, keys)
    blocks = num_blocks or row_blocks(queries.shape)
    if blocks == 1:
        return diagonal_accuracy(cosine_logits(queries, keys), present=present)
    hits = _by_row_blocks(_share_of_best, queries, keys, 1.0, present, blocks)
    return weighted_mean(hits, None if present is None else present[0] * present[1])


def _share_of_best(logits, positives):
    """For each row, the share that its positive has of the highest logits."""
    best = ops.max(logits, axis=-1, keepdims=True)
    tied = logits >= best - TIED * ops.maximum(ops.absolute(best), 1.0)
    hit = ops.cast(ops.any(ops.logical_and(tied, positives), axis=-1), logits.dtype)
    return hit / ops.sum(ops.cast(tied, logits.dtype), axis=-1)


def _by_row_blocks(function, queries, keys, temperature, present, num_blocks):
    """Results `(..., batch)` of a function of logits and of which of them are positives."""
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    keys = ops.swapaxes(l2_normalize(keys), -1, -2)
    # Rows first, so that they can be split.
    rows = ops.moveaxis(l2_normalize(queries), -2, 0)
    number = ops.shape(rows)[0]
    columns = None if present is None else ops.cast(present[1], rows.dtype)

    def of_block(values, carry, chunk):
        block, places = chunk
        logits = ops.matmul(ops.moveaxis(block, 0, -2), values[0]) / temperature
        if columns is not None:
            logits = mask_logits(logits, values[1][..., None, :])
        positives = ops.equal(places[:, None], ops.arange(number, dtype="int32")[None, :])
        return carry, [ops.moveaxis(function(logits, positives), -1, 0)]

    values = [keys] if columns is None else [keys, columns]
    chunks = [rows, ops.arange(number, dtype="int32")]
    _, (found,) = engine.map_chunks(of_block, values, [], chunks, num_blocks)
    return ops.moveaxis(found, 0, -1)


def cosine_logits(queries: Tensor, keys: Tensor, temperature: float = 1.0) -> Tensor:
    """Computes the cosine similarity of every query with every key, divided by the temperature.

    Args:
        queries: float tensor `(..., rows, dim)`.
        keys: float tensor `(..., columns, dim)`.
        temperature: float, divides the similarities.

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
    """Scales vectors to unit length; a zero vector remains zero and gets no gradient.

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
    # The square of a smaller length has too few digits in float32.
    is_vector = squared > 1e-24
    return ops.where(is_vector, x * ops.rsqrt(ops.where(is_vector, squared, 1.0)), 0.0)


def prediction_logits(targets: Tensor, predictions: Tensor) -> Tensor:
    """Computes dot products of future frames and their predictions, for every pair of clips.

    Args:
        targets: float tensor `(steps, batch, dim)`, features of the steps after the context.
        predictions: float tensor `(steps, batch, dim)`.

    Returns:
        Float tensor `(steps, batch, batch)`; rows are targets, columns predictions.

    Example:

    >>> prediction_logits(np.ones((1, 2, 3)), np.ones((1, 2, 3))).tolist()
    [[[3.0, 3.0], [3.0, 3.0]]]

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        Eq. 3.
    """
    return ops.matmul(targets, ops.transpose(predictions, (0, 2, 1)))


def cpc_loss(logits: Tensor, candidates: str = "targets", present: Present | None = None) -> Tensor:
    """Computes the loss of contrastive predictive coding: InfoNCE of predictions and future frames.

    Args:
        logits: float tensor `(steps, batch, batch)` of `prediction_logits`.
        candidates: `"targets"`: the softmax is over targets (van den Oord et al., 2018);
            `"predictions"`: over predictions, as in the authors' code.
        present: optional, presence of targets `(steps, batch)` and of predictions `(batch,)`.

    Returns:
        Scalar: the mean over steps, in nats.

    Raises:
        ValueError: if `candidates` is unknown.

    Example:

    >>> round(float(cpc_loss(np.zeros((1, 4, 4), "float32"))), 4)
    1.3863

    References:
        van den Oord et al. (2018), Representation Learning with Contrastive Predictive Coding,
        Eq. 4.
    """
    if candidates not in ("targets", "predictions"):
        raise ValueError(
            f"`candidates` must be 'targets' or 'predictions'. Received: {candidates!r}"
        )
    return diagonal_cross_entropy(logits, -2 if candidates == "targets" else -1, present)
