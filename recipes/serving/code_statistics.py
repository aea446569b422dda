"""How far the modalities of an index share codes, and a map of its codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_cmg.ops.code_activation import ACTIVATIONS, code_activation
from keras_cmg.ops.code_identities import activation_shares, code_overlap

MAP_CODES = 1000
"""Most codes of a map, those with the most clips."""


def sharing(counts: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Computes how far modalities share codes; every modality weighs alike.

    Args:
        counts: modality to (codes,) number of its clips by code.

    Returns:
        Dict of `kinds`, for each code one of `keras_cmg.ops` `ACTIVATIONS`: "shared" if every
        modality has at least 5 % of its use, "specific" if one has more than 95 %, "partial"
        between the two, "unused"; `codes`, kind to the number of codes; `shares`, kind to the
        fraction of clips on such codes; `overlap`, "ONE_OTHER" to the overlap of two modalities'
        distributions over codes, from 0 to 1.

    Example:

    >>> found = sharing({"audio": np.array([3, 1, 0]), "video": np.array([3, 0, 1])})
    >>> found["kinds"], found["overlap"]
    (['shared', 'specific', 'specific'], {'audio_video': 0.75})
    """
    shares = [np.asarray(count, "float64") / max(np.sum(count), 1) for count in counts.values()]
    # In parts per million, as shares of assignments are computed from counts.
    weighted = 1e6 * np.stack(shares, axis=1)
    kinds = [ACTIVATIONS[kind] for kind in ops.convert_to_numpy(code_activation(weighted)).tolist()]
    overlap = ops.convert_to_numpy(code_overlap(weighted))
    names = list(counts)
    fractions = ops.convert_to_numpy(activation_shares(weighted)).tolist()
    return {
        "kinds": kinds,
        "codes": {kind: kinds.count(kind) for kind in ACTIVATIONS},
        "shares": {
            kind: round(share, 4)
            for kind, share in zip(ACTIVATIONS, fractions, strict=True)
            if kind != "unused"
        },
        "overlap": {
            f"{one}_{other}": round(float(overlap[i, j]), 4)
            for i, one in enumerate(names)
            for j, other in enumerate(names)
            if i < j
        },
    }


def code_positions(codebook: np.ndarray, uses: np.ndarray) -> dict[int, tuple[float, float]]:
    """Projects the codes in use onto their two principal components.

    Args:
        codebook: (codes, dim) float.
        uses: (codes,) number of clips of each code.

    Returns:
        Code to its coordinates, from -1 to 1; of more than 1,000 codes in use, those with the most
        clips.

    Example:

    >>> codebook = np.array([[0.0, 0.0], [4.0, 0.0], [9.0, 9.0]])
    >>> code_positions(codebook, np.array([1, 1, 0]))
    {0: (-1.0, 0.0), 1: (1.0, 0.0)}
    """
    used = np.flatnonzero(uses)
    used = np.sort(used[np.argsort(-uses[used], kind="stable")][:MAP_CODES])
    if not len(used):
        return {}
    centred = codebook[used] - codebook[used].mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    # A direction has no sign of its own.
    directions = directions[:2]
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    points = np.zeros((len(used), 2))
    points[:, : len(directions)] = centred @ (directions * signs[:, None]).T
    points /= max(np.abs(points).max(), 1e-12)
    return {
        int(code): (round(float(x), 4) + 0.0, round(float(y), 4) + 0.0)
        for code, (x, y) in zip(used.tolist(), points, strict=True)
    }
