"""Masks of missing modalities and padded frames, applied as weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.types import Tensor

MASKED_LOGIT = -1e9
"""Logit of a masked candidate: its exponential is zero in every precision."""
MASKED_HALF_LOGIT = -3e4
"""The same in float16, where -1e9 is infinite, and a softmax without any candidate not defined."""


def presence(mask: Tensor) -> Tensor:
    """Determines which clips have a modality: those with any valid frame.

    Args:
        mask: `(batch, frames)`, nonzero for valid frames; or `(batch,)`, nonzero for valid clips.

    Returns:
        float32 tensor `(batch,)` of zeros and ones.

    Example:

    >>> [float(v) for v in presence(np.array([[1, 1, 0], [0, 0, 0]]))]
    [1.0, 0.0]
    """
    valid = ops.cast(ops.cast(ops.convert_to_tensor(mask), "bool"), "float32")
    return valid if len(valid.shape) == 1 else ops.max(valid, axis=1)


def pair_presence(
    masks: Mapping[str, Tensor], a: str, b: str, batch: Any
) -> tuple[Tensor, Tensor] | None:
    """Determines which clips have each of two modalities.

    Args:
        masks: modality to `(batch, frames)` or `(batch,)`; all clips have a modality without mask.
        a: str, name of a modality.
        b: str, name of another modality.
        batch: int, number of clips.

    Returns:
        Two float tensors `(batch,)`; None if neither modality has a mask.

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
    """Converts a mask to weights of features: per frame for `(batch, frames, dim)`, else per clip.

    Args:
        mask: `(batch, frames)`, nonzero for valid frames, or `(batch,)`.
        x: float tensor `(batch, [frames,] dim)`.

    Returns:
        float32 tensor of zeros and ones: `(batch, frames)` if the mask and the features have the
        same number of frames, `(batch, 1)` if not, `(batch,)` for features without frames.

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
    """Computes the weighted mean over all elements.

    Args:
        x: float tensor.
        weights: optional, broadcasts to `x`; elements of weight 0 are ignored.

    Returns:
        Scalar; 0 if all weights are zero.

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
    """Computes the mean over the valid frames of axis 1.

    Args:
        x: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero for valid frames.

    Returns:
        Float tensor `(batch, dim)`; zeros for clips without valid frames.

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


def mask_logits(logits: Tensor, mask: Tensor) -> Tensor:
    """Replaces the logits of masked candidates, so that a softmax ignores them.

    Args:
        logits: float tensor.
        mask: broadcasts to `logits`; zero for candidates that are ignored.

    Returns:
        Float tensor of the shape of `logits`, -1e9 at masked candidates (-3e4 in float16).

    Example:

    >>> float(ops.softmax(mask_logits(np.array([1.0, 9.0]), np.array([1.0, 0.0])))[0])
    1.0
    """
    logits = ops.convert_to_tensor(logits)
    half = keras.backend.standardize_dtype(logits.dtype) == "float16"
    masked = ops.cast(MASKED_HALF_LOGIT if half else MASKED_LOGIT, logits.dtype)
    return ops.where(ops.cast(mask, "bool"), logits, masked)
