"""Tables of retrieval: beside the paper's columns, and every pair and direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.protocol import matching
from recipes.reporting import tables

STANDS_FOR = {
    ("text", "video"): "MSCOCO",
    ("audio", "text"): "Clotho",
    ("audio", "video"): "FlickrSound",
}
"""Sorted pair of modalities to the data set of the paper's columns."""


def rows(results: Sequence[Mapping[str, Any]], name: str) -> dict[str, dict[str, list[float]]]:
    """Rows of Table 2: the system, with TOC, and on continuous features.

    Args:
        results: of the recipe, one per seed.
        name: of the system.

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
            for k in matching.RANKS:
                measured[row][f"{STANDS_FOR[ends(pair)]} R@{k}"] = [
                    100
                    * matching.mean(
                        view(result["partner"][pair], result["toc"], pair, kind), f"R@{k}"
                    )
                    for result in results
                ]
        if len(pairs) == len(STANDS_FOR):
            each = list(measured[row].values())
            measured[row]["average"] = [float(np.mean(seed)) for seed in zip(*each, strict=True)]
    return measured


def ends(pair: str) -> tuple[str, str]:
    """The modalities of a pair.

    Example:

    >>> ends("audio-text")
    ('audio', 'text')
    """
    a, b = pair.split("-")
    return a, b


def view(views: Mapping[str, Any], toc: Mapping[str, str], pair: str, kind: str) -> Any:
    """A view of a pair; "toc" is the one that was chosen.

    Args:
        views: name to direction to recalls.
        toc: pair to the name that was chosen.
        pair: which.
        kind: name of a view, or "toc".

    Returns:
        Direction to recalls.

    Example:

    >>> view({"64": 1}, {"audio-text": "64"}, "audio-text", "toc")
    1
    """
    return views[toc[pair] if kind == "toc" else kind]


def all_directions(
    results: Sequence[Mapping[str, Any]], kind: str, ranks: Sequence[int] = matching.RANKS
) -> tables.Table:
    """Every pair and direction, discrete and continuous.

    Args:
        results: of the recipe, one per seed.
        kind: "partner" or "same class".
        ranks: which recalls.

    Returns:
        The table, in per cent.
    """
    views = {"continuous": "continuous", "chance": "chance"}
    if results[0]["toc"]:
        views = {"codes": "quantized", "TOC": "toc", **views}
    measured: dict[str, dict[str, list[float]]] = {}
    for pair in results[0][kind]:
        for direction in matching.DIRECTIONS:
            first, second = ends(pair) if direction == "forward" else ends(pair)[::-1]
            measured[f"{first}->{second}"] = {
                f"{heading} R@{k}": [
                    100 * view(result[kind][pair], result["toc"], pair, name)[direction][f"R@{k}"]
                    for result in results
                ]
                for heading, name in views.items()
                for k in ranks
            }
    asked = "its partner" if kind == "partner" else "any clip of its class"
    return tables.over_seeds(f"A clip asks for {asked}: recall (%)", "asks -> answers", measured)
