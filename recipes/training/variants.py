"""Variants of a system that ablations train: changes to its arguments, by row of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CLUB = "club_"
CLUB_ROWS: dict[str, tuple[str, ...]] = {
    "none": (),
    "audio": ("audio",),
    "video": ("video",),
    "audiovisual": ("audiovisual",),
    "text": ("text",),
    "audio, video": ("audio", "video"),
    "audiovisual, text": ("audiovisual", "text"),
    "all four": ("audio", "video", "audiovisual", "text"),
}
"""Rows of Tables 7 and 11: which CLUB terms stay."""
LOSS_ROWS = {
    "without CLUB": CLUB,
    "without reconstruction": "reconstruction",
    "without commitment": "commitment",
}
"""Rows of Table 5: what the names of the terms contain that are left out."""

Variants = dict[str, dict[str, Any]]
"""Row to arguments of the system."""


def without(terms: Sequence[str]) -> dict[str, Any]:
    """Arguments that leave terms of the loss out.

    Args:
        terms: names.

    Returns:
        Arguments of a system.

    Example:

    >>> without(["cpc"])
    {'loss_weights': {'cpc': 0.0}}
    """
    return {"loss_weights": dict.fromkeys(terms, 0.0)} if terms else {}


def losses(terms: Sequence[str]) -> Variants:
    """The system whole, and without each group of terms that it has.

    Args:
        terms: names of the terms that the system has.

    Returns:
        Row to arguments.

    Example:

    >>> list(losses(["commitment", "cpc"]))
    ['full', 'without commitment']
    """
    left_out = {row: [t for t in terms if part in t] for row, part in LOSS_ROWS.items()}
    return {"full": {}, **{row: without(found) for row, found in left_out.items() if found}}


def club_terms(terms: Sequence[str]) -> Variants:
    """The system with some of its CLUB terms, as far as it has those of a row.

    Args:
        terms: names of the terms that the system has.

    Returns:
        Row to arguments; nothing for a system without such terms.

    Example:

    >>> list(club_terms(["cpc", "club_audio", "club_text"]))
    ['none', 'audio', 'text', 'all four']
    """
    present = [t.removeprefix(CLUB) for t in terms if t.startswith(CLUB)]
    rows: Variants = {}
    for row, kept in CLUB_ROWS.items():
        whole = row == "all four"
        if present and (whole or set(kept) <= set(present)):
            rows[row] = without([CLUB + t for t in present if t not in kept and not whole])
    return rows


def codebook_sizes(sizes: Sequence[int], standard: int | None) -> Variants:
    """The system with codebooks of several sizes.

    Args:
        sizes: numbers of codes.
        standard: what the system has by itself; None for a system without codes.

    Returns:
        Row to arguments; nothing for a system without codes.

    Example:

    >>> codebook_sizes([8, 400], 400)
    {'8': {'backbone': {'num_embeddings': 8}}, '400': {}}
    """
    if standard is None:
        return {}
    return {
        str(size): {} if size == standard else {"backbone": {"num_embeddings": size}}
        for size in sizes
    }


def columns(scores: Mapping[str, Mapping[str, float]], kind: str) -> dict[str, float]:
    """One row's scores and their average.

    Args:
        scores: column to kind to fraction.
        kind: "codes" or "toc".

    Returns:
        Column to per cent, with "average" last.

    Example:

    >>> columns({"a": {"codes": 0.5}, "b": {"codes": 1.0}}, "codes")
    {'a': 50.0, 'b': 100.0, 'average': 75.0}
    """
    found = {column: 100 * each[kind] for column, each in scores.items() if kind in each}
    if found:
        found["average"] = sum(found.values()) / len(found)
    return found
