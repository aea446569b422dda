"""Alignment of frames of two modalities within a window that slides along the clip."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.contrastive import cosine_logits, diagonal_cross_entropy
from keras_cmg.ops.masking import mask_logits, weighted_mean
from keras_cmg.types import Tensor


def sliding_window(frames: int, other_frames: int, radius: float) -> Tensor:
    """Returns which frames of one modality lie within the window around each frame of another.

    Frames are spread evenly over the clip, at `(i + 0.5) / frames` of its length. Distances are in
    frames of the first modality. The window holds at least the nearest frame.

    Args:
        frames: int, frames of the one modality.
        other_frames: int, frames of the other.
        radius: float, largest distance.

    Returns:
        bool tensor `(frames, other_frames)`.

    Example:

    >>> ops.cast(sliding_window(3, 3, 1), "int32").tolist()
    [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
    >>> ops.cast(sliding_window(4, 2, 0), "int32").tolist()
    [[1, 0], [1, 0], [0, 1], [0, 1]]

    References:
        Wu et al. (2026), Asymmetric Hierarchical Anchoring for Audio-Visual Joint Representation
        (local sliding alignment; the form is ours).
    """
    here = ops.arange(frames, dtype="float32") + 0.5
    there = (ops.arange(other_frames, dtype="float32") + 0.5) * (frames / other_frames)
    distance = ops.abs(here[:, None] - there[None, :])
    # A little more, so that rounding excludes no frame at the very edge.
    return distance <= max(radius, frames / other_frames / 2) + 1e-3


def sliding_info_nce(
    queries: Tensor,
    keys: Tensor,
    radius: float = 1.0,
    temperature: float = 0.1,
    symmetric: bool = False,
    weights: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Computes InfoNCE between frames and the windows of clips around them.

    The similarity of a frame and a clip is the largest cosine similarity within the window:
    `s_ij(t) = max_{|t - u| <= radius} cos(q_it, k_ju)`. Each frame finds its own clip among the
    windows at the same place of all clips of the batch.

    Args:
        queries: float tensor `(batch, frames, dim)`.
        keys: float tensor `(batch, other_frames, dim)`.
        radius: float, of the window, in frames of the queries, see `sliding_window`.
        temperature: float, divides the similarities.
        symmetric: bool, whether both directions are averaged: windows also find their frame among
            the queries of all clips.
        weights: optional, of queries `(batch, frames)` and of keys `(batch, other_frames)`; a frame
            of weight zero is neither anchor nor candidate.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: if `temperature` is not positive.

    Example:

    >>> x = np.eye(4, dtype="float32").reshape(2, 2, 4)
    >>> late = x[:, ::-1]
    >>> [round(float(sliding_info_nce(x, late, radius, 1.0)), 4) for radius in (0, 1)]
    [0.6931, 0.3133]

    References:
        Wu et al. (2026), Asymmetric Hierarchical Anchoring for Audio-Visual Joint Representation
        (local sliding alignment; the form is ours).
    """
    batch, frames, other = ops.shape(queries)[0], queries.shape[1], keys.shape[1]
    rows, columns = (ops.reshape(x, (-1, x.shape[-1])) for x in (queries, keys))
    similarity = ops.reshape(
        cosine_logits(rows, columns, temperature), (batch, frames, batch, other)
    )
    similarity = ops.transpose(similarity, (1, 0, 2, 3))
    window = ops.cast(sliding_window(frames, other, radius), similarity.dtype)
    allowed, present = window[:, None, None, :], None
    if weights is not None:
        of_queries, of_keys = (ops.cast(w, similarity.dtype) for w in weights)
        allowed = allowed * of_keys[None, None]
        in_window = ops.max(window[:, None, :] * of_keys[None], axis=-1)
        present = ops.transpose(of_queries), in_window
    logits = ops.max(mask_logits(similarity, allowed), axis=-1)
    loss = diagonal_cross_entropy(logits, present=present)
    if symmetric:
        loss = (loss + diagonal_cross_entropy(logits, axis=-2, present=present)) / 2
    return loss


def sliding_distance(
    features: Tensor,
    targets: Tensor,
    radius: float = 1.0,
    weights: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Computes the mean squared distance of frames to the nearest target within their window.

    Args:
        features: float tensor `(batch, frames, dim)`.
        targets: float tensor `(batch, other_frames, dim)`.
        radius: float, of the window, in frames of the features, see `sliding_window`.
        weights: optional, of features `(batch, frames)` and of targets `(batch, other_frames)`; a
            frame of weight zero, or without a target in its window, does not count.

    Returns:
        Scalar, mean over frames and features.

    Example:

    >>> x = np.array([[[0.0], [3.0]]], "float32")
    >>> [float(sliding_distance(x, x[:, ::-1], radius)) for radius in (0, 1)]
    [9.0, 0.0]

    References:
        Wu et al. (2026), Asymmetric Hierarchical Anchoring for Audio-Visual Joint Representation
        (local sliding alignment; the form is ours).
    """
    window = ops.cast(sliding_window(features.shape[1], targets.shape[1], radius), features.dtype)
    differences = features[:, :, None, :] - targets[:, None, :, :]
    distances = ops.mean(ops.square(differences), axis=-1)
    allowed = ops.broadcast_to(window[None], ops.shape(distances))
    counts = None
    if weights is not None:
        of_features, of_targets = (ops.cast(w, features.dtype) for w in weights)
        allowed = allowed * of_targets[:, None, :]
        counts = of_features * ops.max(allowed, axis=-1)
    nearest = -ops.max(mask_logits(-distances, allowed), axis=-1)
    if counts is not None:
        nearest = ops.where(counts > 0, nearest, 0.0)
    return weighted_mean(nearest, counts)
