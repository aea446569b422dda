"""Tables of the recipe `retrieval`: beside the paper's columns, every pair and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.protocol import clip_retrieval, code_index
from recipes.reporting import tables

STANDS_FOR = {
    ("text", "video"): "MSCOCO",
    ("audio", "text"): "Clotho",
    ("audio", "video"): "FlickrSound",
}
"""Sorted pair of modalities to the data set of the paper's columns."""


def rows(results: Sequence[Mapping[str, Any]], name: str) -> dict[str, dict[str, list[float]]]:
    """Returns the rows of Table 2: the model, with TOC, and on continuous features.

    Args:
        results: results, one per seed.
        name: name of the model.

    Returns:
        Row to column to one number per seed, in per cent.
    """
    pairs = sorted(results[0]["partner"], key=lambda pair: list(STANDS_FOR).index(ends(pair)))
    measured: dict[str, dict[str, list[float]]] = {}
    kinds = {f"{name}, continuous": "continuous"}
    if results[0]["toc"]:
        kinds = {name: "quantized", f"{name}+TOC": "toc", **kinds}
    for row, kind in kinds.items():
        measured[row] = {}
        for pair in pairs:
            for k in clip_retrieval.RANKS:
                measured[row][f"{STANDS_FOR[ends(pair)]} R@{k}"] = [
                    100
                    * clip_retrieval.mean(
                        view(result["partner"][pair], result["toc"], pair, kind), f"R@{k}"
                    )
                    for result in results
                ]
        if len(pairs) == len(STANDS_FOR):
            each = list(measured[row].values())
            measured[row]["average"] = [float(np.mean(seed)) for seed in zip(*each, strict=True)]
    return measured


def ends(pair: str) -> tuple[str, str]:
    """Returns the modalities of a pair.

    Args:
        pair: "a-b".

    Example:

    >>> ends("audio-text")
    ('audio', 'text')
    """
    a, b = pair.split("-")
    return a, b


def view(views: Mapping[str, Any], toc: Mapping[str, str], pair: str, kind: str) -> Any:
    """Returns a view of a pair; "toc" is the chosen mask.

    Args:
        views: name to direction to recalls.
        toc: pair to the name that was chosen.
        pair: the pair.
        kind: name of a view, or "toc".

    Returns:
        Direction to recalls.

    Example:

    >>> view({"64": 1}, {"audio-text": "64"}, "audio-text", "toc")
    1
    """
    return views[toc[pair] if kind == "toc" else kind]


def all_directions(
    results: Sequence[Mapping[str, Any]], kind: str, ranks: Sequence[int] = clip_retrieval.RANKS
) -> tables.Table:
    """Returns every pair and direction, discrete and continuous.

    Args:
        results: results, one per seed.
        kind: "partner" or "same class".
        ranks: ranks to show.

    Returns:
        The table, in per cent.
    """
    views = {"continuous": "continuous", "chance": "chance"}
    if results[0]["toc"]:
        views = {"codes": "quantized", "TOC": "toc", **views}
    measured: dict[str, dict[str, list[float]]] = {}
    for pair in results[0][kind]:
        for direction in clip_retrieval.DIRECTIONS:
            first, second = ends(pair) if direction == "forward" else ends(pair)[::-1]
            measured[f"{first}->{second}"] = {
                f"{heading} R@{k}": [
                    100 * view(result[kind][pair], result["toc"], pair, name)[direction][f"R@{k}"]
                    for result in results
                ]
                for heading, name in views.items()
                for k in ranks
            }
    wanted = "the partner" if kind == "partner" else "any clip of the class"
    return tables.over_seeds(f"Recall of {wanted} (%)", "query -> found", measured)


def index_tables(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns the tables of `retrieval_index`, one per measure.

    Args:
        results: results, one per seed.

    Returns:
        Tables of P@1, P@10 and R@10, in per cent.
    """
    note = "; ".join(f"{name}: {text}" for name, text in code_index.RANKINGS.items())
    first = code_index.FIRST
    return [
        tables.over_seeds(
            f"{measure} (chance of a clip {100 * results[0]['chance']:.1f})",
            "query -> found",
            {
                pair: {
                    ranking: [100 * r["scores"][ranking][pair][measure] for r in results]
                    for ranking in code_index.RANKINGS
                }
                for pair in results[0]["scores"]["codes"]
            },
            note=note,
        )
        for measure in ("P@1", f"P@{first}", f"R@{first}")
    ]
