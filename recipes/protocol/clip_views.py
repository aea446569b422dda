"""One vector per clip, of several views: mean codes, which codes, mean features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

import keras_cmg
from keras_cmg.ops.code_identities import code_histograms
from recipes.protocol.clip_probes import ClipVectors
from recipes.protocol.clips import Encoded, clip_classes
from recipes.protocol.cross_modal_probes import EncodedClips

CODES, CONTINUOUS, IDENTITIES = "codes", "continuous", "identities"
TOKENS = "identities, text by token"
"""As `IDENTITIES`, where text has a code per word instead of one per caption."""
VIEWS = (CODES, CONTINUOUS, IDENTITIES, TOKENS)


def views_of(
    found: Encoded,
    num_embeddings: int,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask] | None = None,
) -> dict[str, np.ndarray]:
    """Returns the vectors of clips by view.

    `CODES` is the mean over frames of the codes, `CONTINUOUS` that of the features before
    quantisation, `IDENTITIES` the share of frames that each code has; the name of a mask, the
    channels of the mean code that it keeps.

    Args:
        found: codes of clips, and their frames that count.
        num_embeddings: number of codes; 0 for a model without codes.
        masks: name to TOC mask, adapted.

    Returns:
        View to float (clips, dim); `IDENTITIES` only of a model with codes.

    Example:

    >>> codes = {"quantized": np.ones((1, 2, 3)), "general": np.zeros((1, 2, 3)),
    ...          "indices": np.array([[1, 1]])}
    >>> views = views_of(Encoded(codes, None, 0, None), 2)
    >>> views["codes"].tolist(), views["identities"].tolist()
    ([[1.0, 1.0, 1.0]], [[0.0, 1.0]])
    """
    mean = mean_over_frames(found.codes["quantized"], found.mask)
    views = {CODES: mean, CONTINUOUS: mean_over_frames(found.codes["general"], found.mask)}
    if "indices" in found.codes:
        indices = found.codes["indices"]
        views[IDENTITIES] = histograms(
            indices, num_embeddings, found.mask, found.codes["general"].ndim
        )
    for name, mask in (masks or {}).items():
        views[name] = ops.convert_to_numpy(mask(ops.convert_to_tensor(mean)))
    return views


def mean_over_frames(x: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Computes the mean over the frames that count.

    Args:
        x: float (clips, frames, dim), or (clips, dim) which is returned unchanged.
        mask: (clips, frames) bool; None if all frames count.

    Returns:
        Float (clips, dim); zeros for a clip without frames.

    Example:

    >>> x = np.array([[[1.0], [3.0]]])
    >>> mean_over_frames(x, None).tolist(), mean_over_frames(x, np.array([[True, False]])).tolist()
    ([[2.0]], [[1.0]])
    """
    if x.ndim == 2:
        return x
    if mask is None:
        return x.mean(axis=1)
    weights = mask.astype(x.dtype)
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return np.einsum("cf,cfd->cd", weights / total, x)


def histograms(
    indices: np.ndarray, num_embeddings: int, mask: np.ndarray | None, rank: int
) -> np.ndarray:
    """Computes the share of the frames of each clip that each code has.

    Codes of several levels or groups have a histogram each, one beside the other.

    Args:
        indices: int (clips[, frames][, levels]).
        num_embeddings: number of codes of a level.
        mask: (clips, frames) bool; None if all frames count.
        rank: 3 if there are frames, 2 for one code per clip.

    Returns:
        Float (clips, levels * codes).

    Example:

    >>> histograms(np.array([[0, 1, 1, 1]]), 2, None, 3).tolist()
    [[0.25, 0.75]]
    >>> histograms(np.array([[0, 1]]), 2, None, 2).tolist()
    [[1.0, 0.0, 0.0, 1.0]]
    """
    if indices.ndim == rank - 1:
        indices = indices[..., None]
    if rank == 2:
        indices, mask = indices[:, None], None
    found = [
        ops.convert_to_numpy(code_histograms(indices[..., level], num_embeddings, mask))
        for level in range(indices.shape[-1])
    ]
    return np.concatenate(found, axis=1)


def vectors_of(
    encoded: EncodedClips,
    split: str,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask] | None = None,
    tokens: bool = True,
) -> dict[str, dict[str, ClipVectors]]:
    """Returns the vectors of the clips of a split.

    Args:
        encoded: codes of the clips.
        split: "train", "val" or "test".
        masks: name to TOC mask, adapted.
        tokens: whether `TOKENS` is there too.

    Returns:
        View to modality to vectors.
    """
    backbone = encoded.backbone
    found: dict[str, dict[str, ClipVectors]] = {}

    def add(view: str, modality: str, vectors: np.ndarray, of: Any) -> None:
        classes = clip_classes(of.labels)
        present = np.ones(len(classes), bool) if of.mask is None else of.mask.any(axis=1)
        found.setdefault(view, {})[modality] = ClipVectors(vectors, classes, present)

    number = num_embeddings(backbone)
    for modality in backbone.modalities:
        of = encoded.encoded(split, modality)
        views = views_of(of, number, masks)
        for view, vectors in views.items():
            add(view, modality, vectors, of)
        if tokens and IDENTITIES in views:
            if encoded.levels.get(modality) == "clip":
                of = encoded.encoded(split, modality, level="segment")
                views = views_of(of, number)
            add(TOKENS, modality, views[IDENTITIES], of)
    return found


def num_embeddings(backbone: Any) -> int:
    """Returns the number of codes of a model, 0 without codes.

    Args:
        backbone: a backbone.
    """
    if backbone.quantizer is None:
        return 0
    return int(backbone.quantizer.num_embeddings)
