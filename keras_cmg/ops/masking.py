"""Clips without a modality, and frames that are padding: left out by weight, never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_cmg.types import Tensor

EXCLUDED = -1e9
"""Logit of a candidate that does not take part: `exp` of it is zero in every precision."""


def presence(mask: Tensor) -> Tensor:
    """Whether a clip has a modality at all: any of its frames counts.

    Args:
        mask: `(batch, frames)`, nonzero where a frame counts; or `(batch,)`, returned as it is.

    Returns:
        float32 tensor `(batch,)` of zeros and ones.

    Example:

    >>> [float(v) for v in presence(np.array([[1, 1, 0], [0, 0, 0]]))]
    [1.0, 0.0]
    """
    counts = ops.cast(ops.cast(ops.convert_to_tensor(mask), "bool"), "float32")
    return counts if len(counts.shape) == 1 else ops.max(counts, axis=1)


def pair_presence(
    masks: Mapping[str, Tensor], a: str, b: str, batch: Any
) -> tuple[Tensor, Tensor] | None:
    """Which clips have each of two modalities.

    Args:
        masks: modality to `(batch, frames)` or `(batch,)`; a modality without one is in all clips.
        a: name of a modality.
        b: name of another.
        batch: number of clips.

    Returns:
        Two float tensors `(batch,)`; None if neither has a mask.

    Example:

    >>> pair_presence({}, "audio", "text", 2) is None
    True
    >>> [v.tolist() for v in pair_presence({"text": np.array([[0], [1]])}, "audio", "text", 2)]
    [[1.0, 1.0], [0.0, 1.0]]
    """
    if a not in masks and b not in masks:
        return None
    return tuple(
        presence(masks[name]) if name in masks else ops.ones((batch,), dtype="float32")
        for name in (a, b)
    )


def weights_like(mask: Tensor, x: Tensor) -> Tensor:
    """A mask at the level of features: per frame for `(batch, frames, dim)`, else per clip.

    Args:
        mask: `(batch, frames)`, nonzero where a frame counts, or `(batch,)`.
        x: float tensor `(batch, [frames,] dim)`.

    Returns:
        float32 tensor of zeros and ones: `(batch, frames)` where the frames of the two agree,
        `(batch, 1)` for features with other frames, `(batch,)` for vectors.

    Example:

    >>> mask = np.array([[1, 0], [0, 0]])
    >>> [tuple(weights_like(mask, x).shape) for x in (np.ones((2, 2, 3)), np.ones((2, 3)))]
    [(2, 2), (2,)]
    """
    clip = presence(mask)
    if len(x.shape) == 2:
        return clip
    if len(mask.shape) == 2 and mask.shape[1] == x.shape[1]:
        return ops.cast(ops.cast(ops.convert_to_tensor(mask), "bool"), "float32")
    return clip[:, None]


def weighted_mean(x: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over all elements that count.

    Args:
        x: float tensor.
        weights: optional, broadcasts to `x`; 0 leaves an element out.

    Returns:
        Scalar; 0 where nothing counts.

    Example:

    >>> float(weighted_mean(np.array([1.0, 5.0]), np.array([1.0, 0.0])))
    1.0
    """
    x = ops.convert_to_tensor(x)
    if weights is None:
        return ops.mean(x)
    weights = ops.broadcast_to(ops.cast(weights, x.dtype), ops.shape(x))
    return ops.sum(x * weights) / ops.maximum(ops.sum(weights), 1e-6)


def mean_over_time(x: Tensor, frame_mask: Tensor | None = None) -> Tensor:
    """Mean over axis 1 of the frames that count.

    Args:
        x: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero where a frame counts.

    Returns:
        Float tensor `(batch, dim)`; zeros where no frame counts.

    Example:

    >>> x, mask = np.array([[[1.0], [5.0]]]), np.array([[1, 0]])
    >>> float(mean_over_time(x, mask)[0, 0])
    1.0
    """
    x = ops.convert_to_tensor(x)
    if frame_mask is None:
        return ops.mean(x, axis=1)
    mask = ops.expand_dims(ops.cast(frame_mask, x.dtype), -1)
    return ops.sum(x * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)


def exclude(logits: Tensor, counts: Tensor) -> Tensor:
    """Logits with the candidates that do not count put out of reach of a softmax.

    Args:
        logits: float tensor.
        counts: broadcasts to `logits`; zero where a candidate does not take part.

    Returns:
        Float tensor of the shape of `logits`.

    Example:

    >>> float(ops.softmax(exclude(np.array([1.0, 9.0]), np.array([1.0, 0.0])))[0])
    1.0
    """
    logits = ops.convert_to_tensor(logits)
    return ops.where(ops.cast(counts, "bool"), logits, ops.cast(EXCLUDED, logits.dtype))
