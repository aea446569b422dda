"""Search in an index of codes: precision and recall of clips of one modality found by another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import keras_cmg
from recipes.protocol.clips import Clips, clip_classes, encode

FIRST = 10
"""Number of clips found that are counted."""
RANKINGS = {
    "codes": "clips of the nearest codes, no feature stored",
    "features": "clips of the nearest codes, ranked by their features",
    "brute force": "all clips, ranked by their features",
}


def measure(backbone: keras_cmg.models.Backbone, clips: Clips, num_codes: int) -> dict[str, Any]:
    """Indexes the test clips of every modality and measures what the others find.

    Args:
        backbone: trained, with codes.
        clips: where clips are read from.
        num_codes: codes whose clips a query visits.

    Returns:
        Dict of `scores`, ranking to "query->found" to measure; `chance`, `clips` and
        `num_embeddings`.
    """
    found = {
        name: encode(backbone, clips, "test", name, "clip", labels=True)
        for name in backbone.modalities
    }
    classes = clip_classes(next(iter(found.values())).labels)
    codes = {name: one.codes for name, one in found.items()}
    source = backbone.code_source()
    return {
        "scores": {
            ranking: scores_of_ranking(codes, classes, source, ranking, num_codes)
            for ranking in RANKINGS
        },
        "chance": chance(classes),
        "clips": len(classes),
        "num_embeddings": len(keras_cmg.search.CodeIndex(source).codebook),
    }


def scores_of_ranking(
    encoded: Mapping[str, Mapping[str, np.ndarray]],
    classes: np.ndarray,
    codebook: Any,
    ranking: str,
    num_codes: int,
) -> dict[str, dict[str, float]]:
    """Computes what queries of each modality find among clips of each modality.

    Args:
        encoded: modality to `general` (clips, dim) and `indices` (clips, *index_shape).
        classes: (clips,) int.
        codebook: what `CodeIndex` takes, such as a backbone's `code_source()`.
        ranking: a key of `RANKINGS`.
        num_codes: codes whose clips a query visits; brute force visits all.

    Returns:
        `"query->found"` to `P@1`, `P@10` and `R@10`, from 0 to 1.

    Example:

    >>> codes = np.array([0, 0, 1, 1])
    >>> encoded = {"audio": {"general": np.eye(2)[codes], "indices": codes}}
    >>> scores_of_ranking(encoded, codes, np.eye(2), "codes", 1)["audio->audio"]["P@1"]
    1.0
    """
    # In the order of the files, the clips of a code could be sorted by class.
    order = np.random.default_rng(0).permutation(len(classes))
    found = {}
    for target, filed in encoded.items():
        index = keras_cmg.search.CodeIndex(codebook, "codes" if ranking == "codes" else "float32")
        index.add(order, filed["general"][order], filed["indices"][order])
        for source, queries in encoded.items():
            visited = len(index.codebook) if ranking == "brute force" else num_codes
            ids = index.search(queries["general"], FIRST + 1, visited)["ids"]
            found[f"{source}->{target}"] = counted(ids, classes)
    return found


def counted(ids: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Computes the shares of clips of the query's class; the query's own clip does not count.

    Args:
        ids: (queries, FIRST + 1) clips found for query 0, 1, ..., nearest first; -1 for none.
        classes: (clips,) int.

    Returns:
        `P@1`, `P@10`, `R@10`, from 0 to 1.

    Example:

    >>> counted(np.array([[0, 1] + [-1] * 9, [0, 1] + [-1] * 9]), np.array([5, 5]))["P@1"]
    1.0
    """
    rows = []
    for query, answer in enumerate(ids):
        others = answer[answer != query][:FIRST]
        rows.append((others >= 0) & (classes[others] == classes[query]))
    right = np.stack(rows)
    return {
        "P@1": float(right[:, 0].mean()),
        f"P@{FIRST}": float(right.mean()),
        f"R@{FIRST}": float(right.any(axis=1).mean()),
    }


def chance(classes: np.ndarray) -> float:
    """Computes the share of clips of the query's class among all others.

    Args:
        classes: (clips,) int.

    Returns:
        From 0 to 1.

    Example:

    >>> round(chance(np.array([0, 0, 1, 1])), 3)
    0.333
    """
    counts = np.bincount(classes)
    return float((counts * (counts - 1)).sum() / (len(classes) * max(len(classes) - 1, 1)))
