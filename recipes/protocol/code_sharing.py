"""How far modalities share codes: which codes each uses, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_cmg.ops.code_activation import ACTIVATIONS
from keras_cmg.ops.code_identities import activation_shares, code_overlap
from recipes.protocol.clip_views import num_embeddings
from recipes.protocol.clips import Clips, encode
from recipes.protocol.code_use import cosine_similarity, kinds, numbered
from recipes.protocol.cross_modal_probes import EncodedClips

PER_MODALITY = 1e6
"""Every modality weighs as much as this number of segments, whatever it has."""


def counts_of(encoded: EncodedClips, split: str, tokens: bool = False) -> dict[str, np.ndarray]:
    """Counts the segments of each modality by code.

    Args:
        encoded: codes of the clips.
        split: "train", "val" or "test".
        tokens: whether a modality with one code per clip is counted by frame instead.

    Returns:
        Modality to float (codes,) of a single quantiser, or of the codes of all levels or groups,
        one level after another. Empty for a model without codes.
    """
    number = num_embeddings(encoded.backbone)
    found = {}
    for name in encoded.backbone.modalities if number else ():
        of = encoded.encoded(split, name, level="segment" if tokens else None)
        indices = of.codes["indices"]
        framed = of.codes["general"].ndim == 3
        if of.mask is not None:
            # Padding, and clips without the modality, have codes that mean nothing.
            indices = indices[of.mask] if framed else indices[of.mask.any(axis=1)]
        codes = numbered(indices, number, _single(of))
        size = number * codes.shape[-1]
        found[name] = np.bincount(codes.ravel(), minlength=size).astype(np.float64)
    return found


def _single(of: Any) -> bool:
    """Whether segments have one code."""
    return bool(of.codes["indices"].ndim == of.codes["general"].ndim - 1)


def codes_of_clips(
    backbone: Any, clips: Clips, split: str, level: str = "clip"
) -> dict[str, np.ndarray]:
    """Encodes clips, and numbers their codes as `counts_of` does.

    Args:
        backbone: a backbone with codes.
        clips: the clips.
        split: "train", "val" or "test".
        level: "clip", or "segment" for the codes of each segment.

    Returns:
        Modality to int (clips, levels) or (clips, frames, levels).
    """
    found = {name: encode(backbone, clips, split, name, level) for name in backbone.modalities}
    number = num_embeddings(backbone)
    return {name: numbered(of.codes["indices"], number, _single(of)) for name, of in found.items()}


def weighted_counts(counts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns counts in which every modality weighs alike.

    Args:
        counts: modality to (codes,) counts, none of them empty.

    Returns:
        (codes, modalities) float, each column with the sum `PER_MODALITY`.

    Example:

    >>> weighted_counts({"audio": np.array([3.0, 1.0]), "text": np.array([0.0, 1.0])}).tolist()
    [[750000.0, 0.0], [250000.0, 1000000.0]]
    """
    return np.stack([x / x.sum() * PER_MODALITY for x in counts.values()], axis=1)


def nearest_shared_label(
    codebook: np.ndarray, counts: np.ndarray, label_counts: np.ndarray
) -> float | None:
    """Computes how often a code of one modality lies nearest to a code of its label.

    A probe reads the vectors of codes, so that it transfers between codes that differ but are
    near: this is the share of the segments on codes of kind "specific" for which the nearest code
    (by cosine) of those that another modality uses stands most often for the same label.

    Args:
        codebook: (codes, dim) float.
        counts: (codes, modalities), see `weighted_counts`.
        label_counts: (codes, modalities, labels), segments by code, modality and label.

    Returns:
        The share, or None without such codes.

    Example:

    >>> codebook = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
    >>> labels = np.zeros((3, 2, 2))
    >>> labels[0, 0, 1] = labels[1, 1, 1] = labels[2, 1, 0] = 5
    >>> nearest_shared_label(codebook, labels.sum(axis=2), labels)
    0.666...
    """
    specific = np.flatnonzero(kinds(counts) == "specific")
    similarity = cosine_similarity(codebook)
    same = total = 0.0
    for code in specific.tolist():
        modality = counts[code].argmax()
        others = np.delete(label_counts, modality, axis=1).sum(axis=1)
        # The code itself may have some segments of another modality, up to 5 %.
        there = np.flatnonzero(others.sum(axis=1) > 0)
        there = there[there != code]
        if len(there):
            nearest = there[similarity[code, there].argmax()]
            uses = counts[code].sum()
            same += uses * (others[nearest].argmax() == label_counts[code].sum(axis=0).argmax())
            total += uses
    return float(same / total) if total else None


def shared_codes(encoded: EncodedClips, split: str) -> dict[str, Any]:
    """Computes the overlap of the modalities' codes and the shares of segments by kind of code.

    Every modality weighs alike: its counts are divided by their sum.

    Args:
        encoded: codes of the clips.
        split: "train", "val" or "test".

    Returns:
        `overlap`, "ONE_OTHER" and "mean" to a fraction; `shares`, "specific", "partial" and
        "shared" to a fraction; each under "clip", text with one code, and "token", text with a
        code per word; `used`, number of codes in use by modality. Empty for a model without codes.
    """
    found: dict[str, Any] = {}
    for tokens, level in ((False, "clip"), (True, "token")):
        counts = counts_of(encoded, split, tokens)
        if not counts or min(count.sum() for count in counts.values()) == 0:
            return {}
        names = list(counts)
        weighed = weighted_counts(counts)
        overlap = np.asarray(ops.convert_to_numpy(code_overlap(weighed)))
        pairs = {
            f"{a}_{b}": float(overlap[i, j])
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if i < j
        }
        shares = np.asarray(ops.convert_to_numpy(activation_shares(weighed)))
        kinds = zip(ACTIVATIONS, shares.tolist(), strict=True)
        mean = float(np.mean(list(pairs.values())))
        found.setdefault("overlap", {})[level] = {**pairs, "mean": mean}
        found.setdefault("shares", {})[level] = {k: v for k, v in kinds if k != "unused"}
        found.setdefault("used", {})[level] = {
            name: int((count > 0).sum()) for name, count in counts.items()
        }
    return found


def label_counts(encoded: EncodedClips, split: str, classes: np.ndarray) -> np.ndarray:
    """Counts the segments by code, modality and label of their clip.

    Args:
        encoded: codes of the clips.
        split: "train", "val" or "test".
        classes: (clips,) int, the label of each clip.

    Returns:
        int (codes, modalities, labels), codes as in `counts_of`.
    """
    tables, number = [], int(classes.max()) + 1
    size = num_embeddings(encoded.backbone)
    for name in encoded.backbone.modalities:
        of = encoded.encoded(split, name)
        codes = numbered(of.codes["indices"], size, _single(of))
        levels, framed = codes.shape[-1], codes.ndim == 3
        codes = codes * number + classes.reshape(-1, *(1,) * (codes.ndim - 1))
        if of.mask is not None:
            codes = codes[of.mask] if framed else codes[of.mask.any(axis=1)]
        counts = np.bincount(codes.ravel(), minlength=size * levels * number)
        tables.append(counts.reshape(size * levels, number))
    return np.stack(tables, axis=1)


def commonest_codes(encoded: EncodedClips, split: str) -> dict[str, np.ndarray]:
    """Returns the code that most segments of each clip have.

    Args:
        encoded: codes of the clips.
        split: "train", "val" or "test".

    Returns:
        Modality to int (clips, levels), the code of each level or group, numbered as in
        `counts_of`; -1 for a clip without the modality. Empty for a model without codes.
    """
    found = {}
    size = num_embeddings(encoded.backbone)
    for name in encoded.backbone.modalities:
        of = encoded.encoded(split, name)
        if "indices" not in of.codes:
            return {}
        codes = numbered(of.codes["indices"], size, _single(of))
        if codes.ndim == 3:
            codes = np.array(
                [[np.bincount(level).argmax() for level in rows] for rows in codes.swapaxes(1, 2)]
            )
        if of.mask is not None:
            codes = np.where(np.any(of.mask, axis=1, keepdims=True), codes, -1)
        found[name] = codes
    return found
