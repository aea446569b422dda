"""Vector quantisation: nearest codes, straight-through gradient, commitment, EMA statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops.masking import mean_over_time, weighted_mean, weights_like
from keras_cmg.types import Tensor

MAX_BLOCKS = 32
"""Blocks that a compiled graph holds one by one: of codes, which are larger where there would be
more; and of vectors, which become a loop where there would be more."""

CENTER_CODES = 15
"""Codes from which `codebook_center` is computed, at most."""

CENTER_SPREADS = 4.0
"""Distance from zero, in interquartile ranges, from which `codebook_center` is the median. Nearer
codebooks lose at most a digit, and their numbers do not depend on the center."""


def nearest_codes(
    x: Tensor, codebook: Tensor, max_elements: int | None = None, code_block: int | None = None
) -> Tensor:
    """Computes the index of the code with the smallest squared Euclidean distance to each vector.

    `argmin_j ||x - e_j||^2 = argmax_j (y . f_j - ||f_j||^2 / 2)` with `y = x - c`, `f_j = e_j - c`
    for any c: one matrix product and one search, in blocks, so that neither many vectors nor many
    codes need much memory. With `codebook_center` as c, the terms have the size of distances within
    the codebook, and float32 finds the nearest code wherever the codebook lies. The product is
    computed in the full precision of its type, also where the engine's default on an accelerator is
    TF32 or bfloat16.

    Args:
        x: float tensor `(..., dim)`.
        codebook: float tensor `(num_embeddings, dim)`.
        max_elements: int, scores held at once; default what is fastest on processors, 8 to 16 MB
            in float32.
        code_block: int, codes scored at once, or more for codebooks of more than 32 blocks; default
            as above.

    Returns:
        int32 tensor `(...)` of code indices; the lowest index wins a tie.

    Raises:
        ValueError: if the last axes of `x` and `codebook` differ, or `codebook` is not a matrix.

    Example:

    >>> codes = np.array([[0.0, 0.0], [1.0, 1.0]], "float32")
    >>> [int(i) for i in nearest_codes(np.array([[0.9, 0.8], [0.1, 0.2]], "float32"), codes)]
    [1, 0]

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, Eq. 1.
    """
    x, codebook = ops.convert_to_tensor(x), ops.convert_to_tensor(codebook)
    if len(codebook.shape) != 2 or x.shape[-1] != codebook.shape[1]:
        raise ValueError(
            "`codebook` must have shape (num_embeddings, dim) with the same dim as the last axis "
            f"of `x`. Received shapes {tuple(codebook.shape)} and {tuple(x.shape)}."
        )
    if isinstance(x, keras.KerasTensor) or isinstance(codebook, keras.KerasTensor):
        return NearestCodes(max_elements, code_block).symbolic_call(x, codebook)
    x = ops.cast(x, codebook.dtype)
    num_codes, dim = codebook.shape
    center = codebook_center(codebook)
    codes = codebook - center
    half_norms = ops.sum(ops.square(codes), axis=1) / 2
    sizes = engine.score_sizes()
    max_elements, code_block = max_elements or sizes[0], code_block or sizes[1]
    size = max(code_block, -(-num_codes // MAX_BLOCKS))
    blocks = [
        (start, ops.transpose(codes[start : start + size]), -half_norms[start : start + size])
        for start in range(0, num_codes, size)
    ]

    def nearest(vectors):
        vectors = vectors - center
        (_, columns, offsets), *others = blocks
        best_score, best_index = engine.best_columns(vectors, columns, offsets)
        for start, columns, offsets in others:
            score, index = engine.best_columns(vectors, columns, offsets)
            closer = score > best_score
            best_index = ops.where(closer, index + start, best_index)
            best_score = ops.where(closer, score, best_score)
        return best_index

    rows_at_once = max(1, max_elements // min(num_codes, size))
    found = _by_blocks(nearest, ops.reshape(x, (-1, dim)), rows_at_once)
    return ops.reshape(found, ops.shape(x)[:-1])


@keras.saving.register_keras_serializable("keras_cmg")
class NearestCodes(keras.Operation):
    """`nearest_codes` as one node of a functional model, where the number of vectors is unknown.

    Args:
        max_elements: int, as for `nearest_codes`.
        code_block: int, as for `nearest_codes`.

    Example:

    >>> x, codes = keras.KerasTensor((None, 2)), keras.KerasTensor((8, 2))
    >>> NearestCodes().symbolic_call(x, codes).dtype
    'int32'
    """

    def __init__(self, max_elements: int | None = None, code_block: int | None = None):
        super().__init__()
        self.max_elements = max_elements
        self.code_block = code_block

    def call(self, x, codebook):
        return nearest_codes(x, codebook, self.max_elements, self.code_block)

    def compute_output_spec(self, x, codebook):
        return keras.KerasTensor(x.shape[:-1], dtype="int32")


def codebook_center(codebook: Tensor) -> Tensor:
    """Computes a point relative to which distances to a codebook keep their digits.

    In each dimension, the median of a sample of codes if it is far from zero relative to their
    interquartile range, else zero. Unlike means, these do not follow a few codes far away. Entries
    are those of codes, so that subtracting them from codes and vectors nearby is exact.

    Args:
        codebook: float tensor `(num_embeddings, dim)`.

    Returns:
        Float tensor `(dim,)`.

    Example:

    >>> codes = [[1000.0, 0.1], [1001.0, 0.3], [1002.0, 0.2], [1e8, 0.4], [999.0, -0.1]]
    >>> codebook_center(np.array(codes, "float32")).tolist()
    [1001.0, 0.0]
    """
    codebook = ops.convert_to_tensor(codebook)
    sample = ops.transpose(codebook[:: -(-codebook.shape[0] // CENTER_CODES)])
    ordered, count = ops.sort(sample, axis=-1), sample.shape[-1]
    median = ordered[:, count // 2]
    spread = ordered[:, 3 * count // 4] - ordered[:, count // 4]
    return ops.where(ops.abs(median) > CENTER_SPREADS * spread, median, ops.zeros_like(median))


def _by_blocks(function: Callable[[Tensor], Tensor], vectors: Tensor, rows_at_once: int) -> Tensor:
    """The results of a function of vectors, block by block."""
    rows, dim = vectors.shape
    symbolic = not isinstance(rows, int)
    many = symbolic or rows > MAX_BLOCKS * rows_at_once
    traced = many and not engine.has_values(vectors)
    # `torch.export` cannot hold a loop whose length is symbolic, and gets one block.
    if traced and keras.backend.backend() != "torch":
        # Few blocks of equal sizes, so that little is computed for padding.
        rows = ops.shape(vectors)[0]
        num_blocks = rows // rows_at_once + 1
        block_rows = (rows + num_blocks - 1) // num_blocks
        padded = ops.pad(vectors, [[0, num_blocks * block_rows - rows], [0, 0]])
        blocks = ops.reshape(padded, (num_blocks, block_rows, dim))
        return ops.reshape(ops.map(function, blocks), (-1,))[:rows]
    if symbolic or rows <= rows_at_once:
        return function(vectors)
    found = [function(vectors[i : i + rows_at_once]) for i in range(0, rows, rows_at_once)]
    return ops.concatenate(found)


def straight_through(x: Tensor, quantized: Tensor) -> Tensor:
    """Returns the value of `quantized` with the gradient of `x`.

    Args:
        x: tensor of any shape.
        quantized: tensor of the same shape.

    Returns:
        Tensor `x + sg(quantized - x)`.

    Example:

    >>> float(straight_through(np.float32(0.2), np.float32(1.0)))
    1.0

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, section 3.2.
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
    """Computes the commitment of each modality's features to its codes and those of its partners.

    With `cross_modal`, `2 b MSE(x_m, sg q_m) + b/2 sum_n MSE(x_m, sg q_n)`, as in the authors'
    code; without, `b MSE(x_m, sg q_m)`, as in the paper.

    Args:
        features: modality to float tensor `(batch, [frames,] dim)`.
        codes: modality to the codes of the features, same shapes.
        commitment_cost: float, the paper's beta.
        cross_modal: bool, whether the partners' terms are added and the own one is doubled.
        weights: optional modality to float tensor `(batch, [frames])`; vectors of weight zero are
            ignored.

    Returns:
        Modality to scalar loss.

    Example:

    >>> x = {"audio": np.zeros((2, 4), "float32")}
    >>> q = {"audio": np.ones((2, 4), "float32")}
    >>> float(commitment_loss(x, q, cross_modal=False)["audio"])
    0.25

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, Eq. 3; Huang et al.
        (2025), Enhancing Multimodal Unified Representations for Cross Modal Generalization, Eq. 17.
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
    """Product of the weights of two modalities, at the frames of `x`."""
    if other is None:
        return own
    other = weights_like(other, x)
    return other if own is None else own * other


def _mean_squared(x: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    x, target = ops.convert_to_tensor(x), ops.convert_to_tensor(target)
    return weighted_mean(ops.mean(ops.square(x - ops.stop_gradient(target)), axis=-1), weight)


def as_frames_of(other: Tensor, x: Tensor, weights: Tensor | None = None) -> Tensor:
    """Aligns `other` with the frames of `x`, by its mean over time if their frames differ.

    Args:
        other: float tensor `(batch, dim)` or `(batch, frames, dim)`.
        x: float tensor of either rank.
        weights: optional `(batch, frames)` of `other`, for the mean over time.

    Returns:
        `other` itself if the frames agree, else a tensor that broadcasts over `x`: the mean over
        time, or a clip's vector for all of its frames.

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
    features: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
    own_weight: float = 0.5,
) -> dict[str, Tensor]:
    """Computes the vectors by which each modality updates a multimodal codebook (MM-EMA).

    `w x_m + (1 - w) sum_n x_n / (M - 1)` over the other modalities n at the same clip and frame, so
    that codes lie between the modalities. A single modality is returned unchanged: plain EMA.

    Args:
        features: modality to float tensor `(batch, [frames,] dim)`.
        weights: optional modality to `(batch, [frames])`; partners of weight zero are left out.
        own_weight: float, the weight w of the modality itself.

    Returns:
        Modality to mixture, of the shape of the modality's features.

    Example:

    >>> mixed = mix_modalities({"a": np.zeros((1, 2)), "v": np.ones((1, 2))})
    >>> float(mixed["a"][0, 0])
    0.5

    References:
        Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation (MM-EMA).
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
            shares = [weights.get(n) for n in partners]
            mixed[name] = _mixture_of_present(x, others, shares, own_weight)
            continue
        share = (1 - own_weight) / len(others)
        mixture = own_weight * x
        for y in others:
            mixture = mixture + share * y
        mixed[name] = mixture
    return mixed


def _mixture_of_present(x, others, weights, own_weight):
    shares = [
        ops.ones(ops.shape(x)[:-1], dtype=x.dtype)
        if weight is None
        else ops.broadcast_to(ops.cast(weights_like(weight, x), x.dtype), ops.shape(x)[:-1])
        for weight in weights
    ]
    total = sum(shares)
    own = ops.where(total > 0, own_weight, 1.0)
    mixture = ops.cast(own, x.dtype)[..., None] * x
    for share, y in zip(shares, others, strict=True):
        mixture = mixture + ((1 - own_weight) * share / ops.maximum(total, 1e-6))[..., None] * y
    return mixture


def code_statistics(
    indices: Tensor, vectors: Tensor, num_embeddings: int, weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Computes the number of vectors assigned to each code, and their sum.

    Args:
        indices: int tensor `(...)`.
        vectors: float tensor `(..., dim)`.
        num_embeddings: int, number of codes.
        weights: optional float tensor `(...)`, the weight of each vector.

    Returns:
        Counts `(num_embeddings,)` and sums `(num_embeddings, dim)`.

    Example:

    >>> counts, sums = code_statistics(np.array([0, 0, 2]), np.ones((3, 1), "float32"), 3)
    >>> [float(c) for c in counts]
    [2.0, 0.0, 1.0]

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, appendix A.1.
    """
    indices = ops.reshape(indices, (-1,))
    vectors = ops.reshape(vectors, (-1, vectors.shape[-1]))
    if weights is None:
        ones = ops.ones_like(vectors[:, :1])
    else:
        ones = ops.reshape(ops.cast(weights, vectors.dtype), (-1, 1))
        vectors = vectors * ones
    both = ops.concatenate([vectors, ones], axis=-1)
    totals = engine.segment_sum(both, ops.cast(indices, "int32"), num_embeddings)
    return totals[:, -1], totals[:, :-1]


def ema_update(
    counts: Tensor,
    sums: Tensor,
    new_counts: Tensor,
    new_sums: Tensor,
    decay: float = 0.99,
    epsilon: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Computes one exponential-moving-average step of the statistics of a codebook.

    `N <- d N + (1 - d) n`, Laplace-smoothed to `(N + eps) / (sum N + H eps) * sum N`, and
    `W <- d W + (1 - d) w`. The codebook is `W / N`.

    Args:
        counts: `(num_embeddings,)`, the moving counts N.
        sums: `(num_embeddings, dim)`, the moving sums W.
        new_counts: `(num_embeddings,)`, this step's counts n.
        new_sums: `(num_embeddings, dim)`, this step's sums w.
        decay: float, weight of the past, d.
        epsilon: float, smoothing, which keeps every count positive.

    Returns:
        The new counts and sums.

    Example:

    >>> n, w = ema_update(np.ones(1), np.ones((1, 1)), np.zeros(1), np.zeros((1, 1)))
    >>> round(float(w[0, 0] / n[0]), 6)
    1.0

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, appendix A.1.
    """
    counts, sums, new_counts, new_sums = (
        ops.convert_to_tensor(v) for v in (counts, sums, new_counts, new_sums)
    )
    counts = decay * counts + (1 - decay) * new_counts
    total = ops.sum(counts)
    counts = (counts + epsilon) / (total + counts.shape[0] * epsilon) * total
    sums = decay * sums + (1 - decay) * new_sums
    return counts, sums


def code_counts(indices: Tensor, num_embeddings: int, weights: Tensor | None = None) -> Tensor:
    """Counts the assignments of each code.

    Args:
        indices: int tensor of any shape.
        num_embeddings: int, number of codes.
        weights: optional float tensor of the same shape, the weight of each assignment.

    Returns:
        float32 tensor `(num_embeddings,)`.

    Example:

    >>> code_counts(np.array([0, 2, 2]), 3).tolist()
    [1.0, 0.0, 2.0]
    """
    flat = ops.reshape(ops.cast(indices, "int32"), (-1,))
    ones = ops.ones(ops.shape(flat), "float32")
    if weights is not None:
        ones = ones * ops.reshape(ops.cast(weights, "float32"), (-1,))
    return engine.segment_sum(ones, flat, num_embeddings)


def code_usage(indices: Tensor, num_embeddings: int, weights: Tensor | None = None) -> Tensor:
    """Computes the share of assignments of each code.

    Args:
        indices: int tensor of any shape.
        num_embeddings: int, number of codes.
        weights: optional float tensor of the same shape; assignments of weight 0 are ignored.

    Returns:
        Float tensor `(num_embeddings,)` that sums to one, or zeros if all weights are zero.

    Example:

    >>> [float(p) for p in code_usage(np.array([0, 1, 1, 1]), 2)]
    [0.25, 0.75]
    """
    counts = code_counts(indices, num_embeddings, weights)
    total = ops.sum(counts)
    return counts / ops.where(total > 0, total, 1.0)


def perplexity(usage: Tensor) -> Tensor:
    """Computes the effective number of codes in use, `exp(-sum_j p_j log p_j)`.

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
    """Computes the share of clips, or frames, for which all modalities have the same code.

    Modalities with another number of frames than the first one are ignored.

    Args:
        indices: modality to int tensor `(batch, [frames])`.
        weights: optional modality to float tensor of the same shape; elements for which any weight
            is zero are ignored.

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
