"""TOC: training-free optimisation of the codebook (Huang et al., 2025, Eqs. 20-23).

All quantities are computed from per-channel sums in one pass over the codebook. The cost is
O(codes x channels), no pairs of codes are formed, and a codebook on disk is streamed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_cmg.types import Tensor

CRITERIA = ("both", "similarity", "variance")
ROWS_AT_ONCE = 512
"""Codes per block while streaming: a megabyte at 512 channels, which fits the cache."""
PARTS = 8
"""Parts of a streamed codebook that threads process."""


class ChannelScores(NamedTuple):
    """Scores of channels by TOC; every field has shape `(dim,)` and type float64."""

    similarity: np.ndarray
    """S_k, mean product of the entries of two different codes; low where codes are separated."""
    variance: np.ndarray
    """V_k, variance of the entries of codes."""
    importance: np.ndarray
    """U_k, by which channels are selected."""


def channel_scores(
    codebook: Tensor,
    usage: Tensor | None = None,
    variance_weight: float = 0.3,
    criterion: str = "both",
    normalize: bool = True,
    unbiased: bool = False,
) -> ChannelScores:
    """Computes the similarity, variance and importance of every channel of a codebook.

    With L2-normalised codes e and weights p (1/H each in the paper):
    `S_k = (sum_i p_i e_ik)^2 - sum_i p_i^2 e_ik^2`, `V_k = sum_i p_i (e_ik - mean_k)^2`,
    `U_k = variance_weight V_k - (1 - variance_weight) S_k`.

    Args:
        codebook: float array or tensor `(num_embeddings, dim)`; a `numpy.memmap` is streamed.
        usage: optional `(num_embeddings,)` non-negative weights of codes, such as `ema_counts` or
            counts over a data set; default equal weights, as in the paper.
        variance_weight: float, the paper's lambda.
        criterion: `"both"`, `"similarity"` or `"variance"` (the rows of Table 6).
        normalize: bool, whether codes are scaled to unit length first; in the authors' code they
            are not.
        unbiased: bool, whether S is divided by H(H-1) and V by H-1, as in the authors' code; only
            without `usage`.

    Returns:
        `ChannelScores` of float64 arrays `(dim,)`.

    Raises:
        ValueError: if `codebook` is not a finite matrix, `usage` has another length or invalid
            weights, `variance_weight` is not in [0, 1], `criterion` is unknown, or `unbiased` is
            set with `usage` or a single code.

    Example:

    >>> scores = channel_scores(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
    >>> [round(float(u), 4) for u in scores.importance]
    [-0.0427, -0.0684]

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Eqs. 20-22.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"`criterion` must be one of {CRITERIA}. Received: {criterion!r}")
    if not 0 <= variance_weight <= 1:
        raise ValueError(f"`variance_weight` must lie in [0, 1]. Received: {variance_weight}")
    if codebook is None:
        raise ValueError(
            "`codebook` must be a matrix of codes. Received: None. Systems of continuous features, "
            "such as SimMMDG, have no codebook, and TOC does not apply to them."
        )
    codebook = codebook if isinstance(codebook, np.ndarray) else ops.convert_to_numpy(codebook)
    if codebook.ndim != 2 or 0 in codebook.shape:
        raise ValueError(
            "`codebook` must have shape (num_embeddings, dim), neither of them 0. "
            f"Received shape {codebook.shape}."
        )
    count = codebook.shape[0]
    if unbiased and (usage is not None or count < 2):
        raise ValueError(
            "`unbiased` must be False with `usage` or fewer than 2 codes. "
            f"Received: usage={'given' if usage is not None else None}, {count} codes"
        )
    weights = _checked_usage(usage, count)
    mean, second, repeated = _channel_sums(codebook, weights, normalize)
    similarity = mean**2 - repeated
    variance = np.maximum(second - mean**2, 0.0)
    if unbiased:
        similarity = similarity * count / (count - 1)
        variance = variance * count / (count - 1)
    importance = np.zeros_like(similarity)
    if criterion != "similarity":
        importance = importance + variance_weight * variance
    if criterion != "variance":
        importance = importance - (1 - variance_weight) * similarity
    return ChannelScores(similarity, variance, importance)


def _checked_usage(usage: Any, count: int) -> np.ndarray | None:
    if usage is None:
        return None
    weights = np.asarray(ops.convert_to_numpy(usage), "float64")
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(
            f"`usage` must hold {count} finite non-negative weights, one per code. "
            f"Received shape {weights.shape} with values from {np.min(weights, initial=np.inf)}."
        )
    if weights.sum() <= 0:
        raise ValueError("`usage` must have a positive sum. Received all zeros.")
    return weights / weights.sum()


def _channel_sums(codebook: np.ndarray, weights: np.ndarray | None, normalize: bool):
    """`sum p e`, `sum p e^2` and `sum p^2 e^2` per channel, in one pass over the rows."""
    count = codebook.shape[0]
    # Small codebooks are summed in double precision. Streamed ones are summed in their own type
    # within a block, for speed, and in double precision across blocks.
    exact = codebook.size <= 2**22
    dtype = np.dtype("float64") if exact else np.promote_types(codebook.dtype, "float32")

    def sums_from(start: int) -> np.ndarray:
        rows = slice(start, min(start + rows_at_a_time, count))
        return _sums_of_rows(codebook, rows, weights, normalize, dtype)

    if exact:
        rows_at_a_time = count
        first, second, repeated = sums_from(0)
    else:
        # NumPy releases the interpreter's lock, so that threads read in parallel. The parts, and
        # with them the result, do not depend on the number of threads.
        rows_at_a_time = -(-count // PARTS)
        with ThreadPoolExecutor(min(PARTS, os.cpu_count() or 1)) as threads:
            parts = list(threads.map(sums_from, range(0, count, rows_at_a_time)))
        first, second, repeated = np.sum(parts, axis=0)
    if weights is None:
        return first / count, second / count, second / count**2
    return first, second, repeated


def _sums_of_rows(
    codebook: np.ndarray, rows: slice, weights: np.ndarray | None, normalize: bool, dtype: np.dtype
) -> np.ndarray:
    """The sums of `_channel_sums` over some rows, `(3, dim)`; the last is 0 without weights."""
    dim = codebook.shape[1]
    buffer = np.empty((min(rows.stop - rows.start, ROWS_AT_ONCE), dim), dtype)
    ones = np.ones(dim, dtype)
    sums = np.zeros((3, dim))
    for start in range(rows.start, rows.stop, ROWS_AT_ONCE):
        block = np.asarray(codebook[start : min(start + ROWS_AT_ONCE, rows.stop)], dtype)
        squares = np.multiply(block, block, out=buffer[: len(block)])
        norms = squares @ ones if normalize else np.ones(len(block), dtype)
        if not np.isfinite(norms if normalize else squares.sum()).all():
            raise ValueError(
                f"`codebook` must be finite. Rows {start} to {start + len(block) - 1} are not."
            )
        inverse = 1 / np.maximum(norms, np.finfo(dtype).tiny)
        root = np.sqrt(inverse)
        if weights is None:
            sums[0] += root @ block
            sums[1] += inverse @ squares
        else:
            p = weights[start : start + len(block)].astype(dtype)
            sums[0] += (root * p) @ block
            sums[1] += (inverse * p) @ squares
            sums[2] += (inverse * p * p) @ squares
    return sums


def select_channels(
    importance: np.ndarray, num_channels: int, ratio: tuple[int, int] = (1, 0)
) -> np.ndarray:
    """Selects the channels with the highest importance, in descending order.

    Args:
        importance: float array `(dim,)`.
        num_channels: int, number of channels to keep, the paper's Q.
        ratio: `(p, q)`: p parts of the highest followed by q parts of the lowest, as the authors'
            code allows; `(1, 0)` in all published scripts. If `p + q` does not divide
            `num_channels`, fewer channels are returned.

    Returns:
        int32 array of channel indices; the lower index wins a tie.

    Raises:
        ValueError: unless `1 <= num_channels <= dim` and the ratio is of two non-negative
            integers of which the first is positive, and whose sum is at most `num_channels`.

    Example:

    >>> select_channels(np.array([0.1, 0.9, 0.5]), 2).tolist()
    [1, 2]

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Eq. 23.
    """
    importance = np.asarray(importance)
    dim = importance.shape[0]
    if not 1 <= num_channels <= dim:
        raise ValueError(
            f"`num_channels` must lie between 1 and the codebook's dimension {dim}. "
            f"Received: {num_channels}"
        )
    high, low = ratio
    if high < 1 or low < 0:
        raise ValueError(f"`ratio` must be (positive, non-negative) integers. Received: {ratio}")
    if num_channels < high + low:
        raise ValueError(
            f"`num_channels` must be at least the sum of `ratio`. Received: {num_channels} with "
            f"{ratio}"
        )
    order = np.argsort(-importance, kind="stable").astype("int32")
    part = num_channels // (high + low)
    best = order[: part * high]
    worst = order[::-1][: part * low]
    return np.concatenate([best, worst])


def select_channels_by_group(importance: Sequence[np.ndarray], num_channels: int) -> np.ndarray:
    """Selects channels of several codebooks, from each in proportion to its number of channels.

    Channels that do not divide evenly go to the codebooks with the largest remainders, the first of
    equals.

    Args:
        importance: sequence of float arrays `(channels,)`, one for each codebook.
        num_channels: int, number of channels to keep of all.

    Returns:
        int32 array of channel indices, counted over all codebooks: those of the first codebook, in
        descending order of importance, then those of the second.

    Raises:
        ValueError: unless `num_channels` lies between 1 and the number of all channels.

    Example:

    >>> select_channels_by_group([np.array([0.1, 0.9]), np.array([0.5, 0.4, 0.6, 0.0])], 3).tolist()
    [1, 4, 2]

    References:
        Xia et al. (2024), Achieving Cross Modal Generalization with Multimodal Unified
        Representation, first version, where channels are selected from each layer's codebook.
    """
    sizes = np.array([len(scores) for scores in importance])
    starts = np.cumsum(sizes) - sizes
    if len(sizes) == 1 or not 1 <= num_channels <= sizes.sum():
        return select_channels(np.concatenate(list(importance)), num_channels)
    exact = num_channels * sizes / sizes.sum()
    counts = np.floor(exact).astype(int)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: num_channels - counts.sum()]] += 1
    chosen = [
        start + select_channels(scores, int(count))
        for start, scores, count in zip(starts, importance, counts, strict=True)
        if count
    ]
    return np.concatenate(chosen).astype("int32")
