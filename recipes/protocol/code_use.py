"""Use of codes by modality, and similarity of codes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_cmg.ops.code_activation import ACTIVATIONS, code_activation


def activations(indices: Mapping[str, np.ndarray], num_embeddings: int) -> np.ndarray:
    """Counts how often each modality uses each code.

    Args:
        indices: modality to int codes of any shape.
        num_embeddings: number of codes.

    Returns:
        (num_embeddings, modalities) int.

    Example:

    >>> activations({"audio": np.array([0, 0, 2]), "text": np.array([2])}, 3).tolist()
    [[2, 0], [0, 0], [1, 1]]
    """
    columns = [np.bincount(np.ravel(index), minlength=num_embeddings) for index in indices.values()]
    return np.stack(columns, axis=1)


def kinds(counts: np.ndarray) -> np.ndarray:
    """Returns the kind of each code, by how the modalities share it.

    This is what "used by every modality" means in all tables and pages.

    Args:
        counts: (num_embeddings, modalities), as `activations` or `code_sharing.weighted_counts`
            returns them.

    Returns:
        (num_embeddings,) strings of `keras_cmg.ops.code_activation`: "shared", each modality has at
        least 5 % of the code's use; "specific", one has more than 95 %; "partial", neither;
        "unused".

    Example:

    >>> kinds(np.array([[9, 0], [5, 5], [0, 0]])).tolist()
    ['specific', 'shared', 'unused']

    References:
        Huang et al. (2025), Figures 6 and 7.
    """
    return np.array(ACTIVATIONS)[keras.ops.convert_to_numpy(code_activation(counts))]


def summary(counts: np.ndarray, modalities: Sequence[str]) -> dict[str, int]:
    """Counts the codes in use: by modality, in all, and of each kind.

    Args:
        counts: (num_embeddings, modalities).
        modalities: names of the columns.

    Returns:
        Counts of codes by modality, "any", and kind, see `kinds`.

    Example:

    >>> counts = activations({"audio": np.array([0, 1]), "text": np.array([1, 1])}, 4)
    >>> summary(counts, ("audio", "text"))
    {'audio': 2, 'text': 1, 'any': 2, 'shared': 1, 'partial': 0, 'specific': 1}
    """
    used, kind = counts > 0, kinds(counts)
    return {
        **{name: int(used[:, column].sum()) for column, name in enumerate(modalities)},
        "any": int(used.any(axis=1).sum()),
        **{name: int((kind == name).sum()) for name in ("shared", "partial", "specific")},
    }


def label_agreement(indices: Mapping[str, np.ndarray], classes: np.ndarray) -> float | None:
    """Computes how often clips of two modalities with the same code have the same label.

    Args:
        indices: modality to int codes (clips,), or (clips, levels) of several, see `numbered`;
            negative for a clip without the modality.
        classes: (clips,) int.

    Returns:
        The share of other clips with the clip's code that have its label, as the mean over clips
        and ordered pairs of modalities where there are any; None if there are none.

    Example:

    >>> codes = {"audio": np.array([0, 0, 1]), "text": np.array([0, 0, 2])}
    >>> label_agreement(codes, np.array([3, 3, 3])), label_agreement(codes, np.array([3, 4, 3]))
    (1.0, 0.0)
    """
    shares = []
    number = 1 + max(int(index.max(initial=-1)) for index in indices.values())
    for one, other in itertools.permutations(indices.values(), 2):
        counts = np.zeros((number, int(classes.max(initial=0)) + 1))
        of_codes = np.broadcast_to(classes.reshape(-1, *(1,) * (one.ndim - 1)), one.shape)
        there = other >= 0
        np.add.at(counts, (other[there], of_codes[there]), 1)
        asked = one >= 0
        codes, labels = one[asked], of_codes[asked]
        itself = codes == other[asked]
        found = counts[codes].sum(axis=1) - itself
        same = counts[codes, labels] - itself
        shares.append(same[found > 0] / found[found > 0])
    every = np.concatenate(shares) if shares else np.zeros(0)
    return float(every.mean()) if len(every) else None


def cosine_similarity(codebook: np.ndarray) -> np.ndarray:
    """Computes the cosine similarity of every two codes.

    Args:
        codebook: (codes, dim) float.

    Returns:
        (codes, codes) float in [-1, 1].

    Example:

    >>> cosine_similarity(np.array([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    norms = np.linalg.norm(codebook, axis=1, keepdims=True)
    unit = codebook / np.maximum(norms, np.finfo(codebook.dtype).tiny)
    return np.clip(unit @ unit.T, -1, 1)


def mean_off_diagonal(similarity: np.ndarray) -> float:
    """Computes the mean similarity of two different codes.

    Args:
        similarity: (codes, codes) float; at least two codes.

    Returns:
        The mean.

    Example:

    >>> mean_off_diagonal(np.array([[1.0, 0.5], [0.25, 1.0]]))
    0.375
    """
    count = len(similarity)
    return float((similarity.sum() - np.trace(similarity)) / (count * (count - 1)))


def mean_similarities(
    codebook: np.ndarray, kept: Mapping[str, np.ndarray], sizes: bool = False
) -> dict[str, float]:
    """Computes the mean similarity of two codes, in all dimensions and in those that TOC keeps.

    Args:
        codebook: (codes, dim) float.
        kept: name to the dimensions kept.
        sizes: whether absolute values are averaged.

    Returns:
        "all" and each name to the mean.

    Example:

    >>> codes = np.array([[1.0, 0.0], [1.0, 1.0]])
    >>> mean_similarities(codes, {"1": np.array([1])})
    {'all': 0.707..., '1': 0.0}
    """
    channels = {"all": np.arange(codebook.shape[1]), **kept}
    found = {name: cosine_similarity(codebook[:, chosen]) for name, chosen in channels.items()}
    return {name: mean_off_diagonal(np.abs(x) if sizes else x) for name, x in found.items()}


def codebooks(backbone: Any) -> list[np.ndarray]:
    """Returns all codes of each index of a vector.

    Args:
        backbone: a backbone with codes.

    Returns:
        (codes, channels) float for each index.
    """
    return [keras.ops.convert_to_numpy(codes) for codes in backbone.codebooks]


def codebook_array(backbone: Any) -> np.ndarray:
    """Returns the codebook of a model.

    Args:
        backbone: a backbone with codes.

    Returns:
        (codes, dim) float, see `Backbone.codebook`.
    """
    return np.asarray(backbone.codebook)


def numbered(indices: np.ndarray, num_embeddings: int, single: bool) -> np.ndarray:
    """Numbers the codes of vectors that have several indices.

    Args:
        indices: int (...) if `single`, else (..., levels), one of each level or group.
        num_embeddings: number of codes of a level.
        single: whether a vector has one index.

    Returns:
        int (..., levels), where codes of the second level follow those of the first; -1 where the
        index is negative.

    Example:

    >>> numbered(np.array([[1, 0], [-1, 2]]), 4, single=False).tolist()
    [[1, 4], [-1, 6]]
    """
    levels = indices[..., None] if single else indices
    levels = levels.reshape(*levels.shape[: indices.ndim - (not single)], -1)
    return np.where(levels < 0, -1, levels + num_embeddings * np.arange(levels.shape[-1]))


def matching_clips(
    indices: Mapping[str, np.ndarray], classes: np.ndarray, num_embeddings: int, limit: int
) -> list[tuple[int, dict[str, int]]]:
    """Finds clips of different modalities that have the same code.

    Codes are ordered by the number of modalities that use them, then by their use by the modality
    that uses them least; codes whose most frequent class has not been shown come first. Each
    modality contributes its first clip that no other modality has contributed.

    Args:
        indices: modality to int codes (clips,), or (clips, levels) of several, see `numbered`.
        classes: (clips,) int.
        num_embeddings: number of codes, of all levels.
        limit: codes at most.

    Returns:
        Code and modality to clip, of at least two modalities, for each code; the clips of a code
        are different ones.

    Example:

    >>> codes = {"audio": np.array([1, 0, 0]), "text": np.array([2, 0, 0])}
    >>> matching_clips(codes, np.array([0, 1, 1]), 3, limit=2)
    [(0, {'audio': 1, 'text': 2})]
    """
    counts = activations(indices, num_embeddings)
    candidates = []
    for code in np.flatnonzero((counts > 0).sum(axis=1) > 1).tolist():
        clips: dict[str, int] = {}
        for name, index in indices.items():
            members = np.flatnonzero(_has(index, code)).tolist()
            first = next((clip for clip in members if clip not in clips.values()), None)
            if first is not None:
                clips[name] = first
        if len(clips) > 1:
            every = np.concatenate([classes[_has(index, code)] for index in indices.values()])
            least = min(count for count in counts[code].tolist() if count)
            candidates.append((-len(clips), -least, code, int(np.bincount(every).argmax()), clips))
    candidates.sort(key=lambda candidate: candidate[:3])
    fresh: list[tuple[int, dict[str, int]]] = []
    repeated: list[tuple[int, dict[str, int]]] = []
    seen = set()
    for _, _, code, common, clips in candidates:
        (repeated if common in seen else fresh).append((code, clips))
        seen.add(common)
    return (fresh + repeated)[:limit]


def _has(index: np.ndarray, code: int) -> np.ndarray:
    """Which clips have a code, (clips,) bool."""
    return (index == code).reshape(len(index), -1).any(axis=1)
