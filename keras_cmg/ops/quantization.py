"""Vector quantisation: nearest codes, straight-through gradient, commitment, EMA statistics."""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from keras_cmg.ops.masking import mean_over_time, weighted_mean, weights_like
from keras_cmg.types import Tensor

MAX_ELEMENTS = 2**22
"""Scores held at once by `nearest_codes`: 16 MB in float32, which stays near the processor."""

CODE_BLOCK = 2**15
"""Codes scored at once; a codebook of a million codes is walked in 31 blocks."""


def nearest_codes(
    x: Tensor, codebook: Tensor, max_elements: int = MAX_ELEMENTS, code_block: int = CODE_BLOCK
) -> Tensor:
    """Index of the code with the smallest squared Euclidean distance to each vector.

    `argmin_j ||x - e_j||^2 = argmax_j (x . e_j - ||e_j||^2 / 2)`: one matrix product and one
    search, in blocks, so that neither many vectors nor many codes need much memory.

    Args:
        x: float tensor `(..., dim)`.
        codebook: float tensor `(num_embeddings, dim)`.
        max_elements: scores held at once, when the number of vectors is known.
        code_block: codes scored at once.

    Returns:
        int32 tensor `(...)` of code indices; the lowest index wins a tie.

    Raises:
        ValueError: if the last axes of `x` and `codebook` differ, or `codebook` is not a matrix.

    Example:

    >>> codes = np.array([[0.0, 0.0], [1.0, 1.0]], "float32")
    >>> [int(i) for i in nearest_codes(np.array([[0.9, 0.8], [0.1, 0.2]], "float32"), codes)]
    [1, 0]
    """
    x, codebook = ops.convert_to_tensor(x), ops.convert_to_tensor(codebook)
    if len(codebook.shape) != 2 or x.shape[-1] != codebook.shape[1]:
        raise ValueError(
            "`codebook` must have shape (num_embeddings, dim) with the same dim as the last axis "
            f"of `x`. Received shapes {tuple(codebook.shape)} and {tuple(x.shape)}."
        )
    x = ops.cast(x, codebook.dtype)
    num_codes, dim = codebook.shape
    vectors = ops.reshape(x, (-1, dim))
    # The norms ride along as one more channel, which saves a pass over the scores.
    vectors = ops.concatenate([vectors, ops.ones_like(vectors[:, :1])], axis=1)
    codes_at_once = min(num_codes, code_block)
    rows = vectors.shape[0]
    rows_at_once = max(1, max_elements // codes_at_once)
    if rows is None or rows <= rows_at_once:
        blocks = [vectors]
    else:
        blocks = [vectors[i : i + rows_at_once] for i in range(0, rows, rows_at_once)]
    found = _nearest_of(blocks, codebook[:codes_at_once], codes_at_once < num_codes)
    for start in range(codes_at_once, num_codes, codes_at_once):
        others = _nearest_of(blocks, codebook[start : start + codes_at_once], True)
        for i, (index, score) in enumerate(others):
            best_index, best_score = found[i]
            closer = score > best_score
            found[i] = (
                ops.where(closer, index + start, best_index),
                ops.where(closer, score, best_score),
            )
    indices = [index for index, _ in found]
    flat = indices[0] if len(indices) == 1 else ops.concatenate(indices)
    return ops.reshape(flat, ops.shape(x)[:-1])


def _nearest_of(blocks: list[Tensor], codes: Tensor, with_score: bool) -> list[tuple]:
    """Index, and score where it is asked for, of the best of `codes` for each block of vectors."""
    half_norms = ops.sum(ops.square(codes), axis=1, keepdims=True) / 2
    columns = ops.transpose(ops.concatenate([codes, -half_norms], axis=1))
    found = []
    for block in blocks:
        scores = ops.matmul(block, columns)
        index = ops.cast(ops.argmax(scores, axis=1), "int32")
        found.append((index, ops.max(scores, axis=1) if with_score else None))
    return found


def straight_through(x: Tensor, quantized: Tensor) -> Tensor:
    """The value of `quantized` with the gradient of `x` (van den Oord et al., 2017, section 3.2).

    Args:
        x: tensor of any shape.
        quantized: tensor of the same shape.

    Returns:
        Tensor `x + sg(quantized - x)`.

    Example:

    >>> float(straight_through(np.float32(0.2), np.float32(1.0)))
    1.0
    """
    x = ops.convert_to_tensor(x)
    return x + ops.stop_gradient(ops.convert_to_tensor(quantized) - x)


def commitment_loss(
    features: Mapping[str, Tensor],
    codes: Mapping[str, Tensor],
    commitment_cost: float = 0.25,
    cross_modal: bool = True,
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Pulls each modality's features towards its own code and the codes of its partners.

    With `cross_modal`, `2 b MSE(x_m, sg q_m) + b/2 sum_n MSE(x_m, sg q_n)` as the authors' code
    runs it; without, `b MSE(x_m, sg q_m)` as the paper writes it (Eq. 17).

    Args:
        features: modality to float tensor `(batch, [frames,] dim)`.
        codes: modality to the selected code vectors, same shapes.
        commitment_cost: the paper's beta.
        cross_modal: adds the partners' terms and doubles the own one.
        weights: optional modality to float tensor `(batch, [frames])`; zero leaves a vector out.

    Returns:
        Modality to scalar loss.

    Example:

    >>> x = {"audio": np.zeros((2, 4), "float32")}
    >>> q = {"audio": np.ones((2, 4), "float32")}
    >>> float(commitment_loss(x, q, cross_modal=False)["audio"])
    0.25
    """
    weights = weights or {}
    losses = {}
    for name, x in features.items():
        own = _mean_squared(x, codes[name], weights.get(name))
        loss = (2.0 if cross_modal else 1.0) * commitment_cost * own
        for other in features if cross_modal else ():
            if other != name:
                both = _product(weights.get(name), weights.get(other), x)
                partner = as_frames_of(codes[other], x, weights.get(other))
                loss = loss + 0.5 * commitment_cost * _mean_squared(x, partner, both)
        losses[name] = loss
    return losses


def _product(own, other, x):
    """Weight of what needs both; the other's is brought to the frames of `x`."""
    if other is None:
        return own
    other = weights_like(other, x)
    return other if own is None else own * other


def _mean_squared(x: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    x, target = ops.convert_to_tensor(x), ops.convert_to_tensor(target)
    return weighted_mean(ops.mean(ops.square(x - ops.stop_gradient(target)), axis=-1), weight)


def as_frames_of(other: Tensor, x: Tensor, weights: Tensor | None = None) -> Tensor:
    """`other` brought to the frames of `x`: averaged over time where the two are not aligned.

    Args:
        other: float tensor `(batch, dim)` or `(batch, frames, dim)`.
        x: float tensor of either rank.
        weights: optional `(batch, frames)` of `other`, for the average over time.

    Returns:
        `other` itself where the frames agree, else a tensor that broadcasts over `x`: the time
        average, or a clip's vector for all its frames.

    Example:

    >>> as_frames_of(np.ones((2, 7, 4)), np.ones((2, 10, 4))).shape[1]
    1
    """
    if len(other.shape) == 3 and len(x.shape) == 3 and other.shape[1] == x.shape[1]:
        return other
    if len(other.shape) == 3:
        framed = weights is not None and len(weights.shape) == 2
        other = mean_over_time(other, weights if framed else None)
    return other if len(x.shape) == 2 else other[:, None]


def mix_modalities(
    features: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The vectors that each modality contributes to the multimodal EMA codebook (MM-EMA).

    Half of the weight lies on the modality itself, half is shared by the others at the same clip
    and frame, so that codes settle between the modalities (MM-EMA, Xia et al., 2023). A modality
    alone contributes itself: plain EMA.

    Args:
        features: modality to float tensor `(batch, [frames,] dim)`.
        weights: optional modality to `(batch, [frames])`; partners of weight zero have no share.

    Returns:
        Modality to mixture, shaped as the modality's own features.

    Example:

    >>> mixed = mix_modalities({"a": np.zeros((1, 2)), "v": np.ones((1, 2))})
    >>> float(mixed["a"][0, 0])
    0.5
    """
    features = {name: ops.convert_to_tensor(x) for name, x in features.items()}
    weights = weights or {}
    mixed = {}
    for name, x in features.items():
        partners = [other for other in features if other != name]
        others = [as_frames_of(features[n], x, weights.get(n)) for n in partners]
        if not others:
            mixed[name] = x
            continue
        if any(n in weights for n in partners):
            mixed[name] = _mixture_of_present(x, others, [weights.get(n) for n in partners])
            continue
        share = 0.5 / len(others)
        mixture = 0.5 * x
        for y in others:
            mixture = mixture + share * y
        mixed[name] = mixture
    return mixed


def _mixture_of_present(x, others, weights):
    shares = [
        ops.ones(ops.shape(x)[:-1], dtype=x.dtype)
        if weight is None
        else ops.broadcast_to(ops.cast(weights_like(weight, x), x.dtype), ops.shape(x)[:-1])
        for weight in weights
    ]
    total = sum(shares)
    own = ops.where(total > 0, 0.5, 1.0)
    mixture = ops.cast(own, x.dtype)[..., None] * x
    for share, y in zip(shares, others, strict=True):
        mixture = mixture + (0.5 * share / ops.maximum(total, 1e-6))[..., None] * y
    return mixture


def code_statistics(
    indices: Tensor, vectors: Tensor, num_embeddings: int, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """How often each code was assigned, and the sum of the vectors assigned to it.

    Args:
        indices: int tensor `(...)`.
        vectors: float tensor `(..., dim)`.
        num_embeddings: number of codes.
        weights: optional float tensor `(...)`, the weight of each vector.

    Returns:
        Counts `(num_embeddings,)` and sums `(num_embeddings, dim)`.

    Example:

    >>> counts, sums = code_statistics(np.array([0, 0, 2]), np.ones((3, 1), "float32"), 3)
    >>> [float(c) for c in counts]
    [2.0, 0.0, 1.0]
    """
    indices = ops.reshape(indices, (-1,))
    vectors = ops.reshape(vectors, (-1, vectors.shape[-1]))
    if weights is None:
        ones = ops.ones_like(vectors[:, :1])
    else:
        ones = ops.reshape(ops.cast(weights, vectors.dtype), (-1, 1))
        vectors = vectors * ones
    both = ops.concatenate([vectors, ones], axis=-1)
    totals = ops.segment_sum(both, ops.cast(indices, "int32"), num_segments=num_embeddings)
    return totals[:, -1], totals[:, :-1]


def ema_update(
    counts: Tensor,
    sums: Tensor,
    new_counts: Tensor,
    new_sums: Tensor,
    decay: float = 0.99,
    epsilon: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """One exponential-moving-average step of the codebook's statistics.

    `N <- d N + (1 - d) n`, Laplace-smoothed to `(N + eps) / (sum N + H eps) * sum N`, and
    `W <- d W + (1 - d) w`. The codebook is `W / N` (van den Oord et al., 2017, appendix A.1).

    Args:
        counts: `(num_embeddings,)`, the moving counts N.
        sums: `(num_embeddings, dim)`, the moving sums W.
        new_counts: `(num_embeddings,)`, this step's counts n.
        new_sums: `(num_embeddings, dim)`, this step's sums w.
        decay: share of the past, d.
        epsilon: smoothing, keeps every count positive.

    Returns:
        The new counts and sums.

    Example:

    >>> n, w = ema_update(np.ones(1), np.ones((1, 1)), np.zeros(1), np.zeros((1, 1)))
    >>> round(float(w[0, 0] / n[0]), 6)
    1.0
    """
    counts, sums, new_counts, new_sums = (
        ops.convert_to_tensor(v) for v in (counts, sums, new_counts, new_sums)
    )
    counts = decay * counts + (1 - decay) * new_counts
    total = ops.sum(counts)
    counts = (counts + epsilon) / (total + counts.shape[0] * epsilon) * total
    sums = decay * sums + (1 - decay) * new_sums
    return counts, sums


def code_usage(indices: Tensor, num_embeddings: int, weights: Tensor | None = None) -> Tensor:
    """Share of the assignments that fell on each code.

    Args:
        indices: int tensor of any shape.
        num_embeddings: number of codes.
        weights: optional float tensor of the same shape; 0 leaves an assignment out.

    Returns:
        Float tensor `(num_embeddings,)` that sums to one, or zeros where nothing counts.

    Example:

    >>> [float(p) for p in code_usage(np.array([0, 1, 1, 1]), 2)]
    [0.25, 0.75]
    """
    flat = ops.reshape(ops.cast(indices, "int32"), (-1,))
    ones = ops.ones(ops.shape(flat), "float32")
    if weights is not None:
        ones = ops.reshape(ops.cast(weights, "float32"), (-1,))
    counts = ops.segment_sum(ones, flat, num_segments=num_embeddings)
    return counts / ops.maximum(ops.sum(counts), 1.0)


def perplexity(usage: Tensor) -> Tensor:
    """Effective number of codes in use: the exponential of the usage's entropy.

    Args:
        usage: float tensor `(num_embeddings,)` that sums to one.

    Returns:
        Scalar between 1 and num_embeddings, in codes.

    Example:

    >>> round(float(perplexity(np.array([0.25, 0.25, 0.5, 0.0], "float32"))), 3)
    2.828
    """
    usage = ops.convert_to_tensor(usage)
    return ops.exp(-ops.sum(usage * ops.log(usage + 1e-10)))


def code_agreement(
    indices: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Share of clips (and frames) on which all modalities choose the same code.

    Modalities with another number of frames than the first are left out.

    Args:
        indices: modality to int tensor `(batch, [frames])`.
        weights: optional modality to float tensor of the same shape; only where all count.

    Returns:
        Scalar between 0 and 1; 1 for a single modality.

    Example:

    >>> float(code_agreement({"a": np.array([1, 2]), "v": np.array([1, 3])}))
    0.5
    """
    weights = weights or {}
    first, *_ = indices.values()
    agree = ops.ones_like(first, dtype="bool")
    counts = None
    for name, other in indices.items():
        if tuple(other.shape[1:]) != tuple(first.shape[1:]):
            continue
        agree = ops.logical_and(agree, ops.equal(first, other))
        if name in weights:
            counts = weights[name] if counts is None else counts * weights[name]
    return weighted_mean(ops.cast(agree, "float32"), counts)
