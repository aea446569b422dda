"""Variants of a model that ablations train: arguments of the model, by row of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras_cmg
from recipes.training.model_entries import entry_of

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
"""Rows of Table 5 to a part of the names of the terms that are left out."""

PLUS_ROWS: dict[str, dict[str, Any]] = {
    "": {},
    "one group of channels": {"backbone": {"quantizer": {"num_groups": 1, "initial_norm": 0.1}}},
    "32 codes": {"backbone": {"num_embeddings": 32}},
    "128 codes": {"backbone": {"num_embeddings": 128}},
    "400 codes": {"backbone": {"num_embeddings": 400}},
    "without InfoNCE": {"loss_weights": {"infonce": 0.0}},
    "InfoNCE alone, codes by moving averages": {
        "backbone": {"quantizer": {"class_name": "Codebook", "decay": 0.9}},
        "loss_weights": {"code_prediction": 0.0, "commitment": 1.0},
    },
    "without InfoNCE of segments": {"loss_weights": {"segment_infonce": 0.0}},
    "codes placed by k-means": {"codebook_init_step": 26},
    "codes of unit length": {"backbone": {"quantizer": {"initial_norm": 1.0}}},
    "with CPC": {"loss_weights": {"cpc": 1.0}},
    "with code matching": {"loss_weights": {"code_matching": 1.0}},
}
"""What `compare --ablate plus` changes in the preset."""

Variants = dict[str, dict[str, Any]]
"""Row to arguments of the model."""


def without(terms: Sequence[str]) -> dict[str, Any]:
    """Returns the arguments of a model that leave terms of the loss out.

    Args:
        terms: names of the terms.

    Example:

    >>> without(["cpc"])
    {'loss_weights': {'cpc': 0.0}}
    """
    return {"loss_weights": dict.fromkeys(terms, 0.0)} if terms else {}


def losses(terms: Sequence[str]) -> Variants:
    """Returns the full model, and the model without each group of terms that it has.

    Args:
        terms: names of the terms of the model.

    Example:

    >>> list(losses(["commitment", "cpc"]))
    ['full', 'without commitment']
    """
    left_out = {row: [t for t in terms if part in t] for row, part in LOSS_ROWS.items()}
    return {"full": {}, **{row: without(found) for row, found in left_out.items() if found}}


def club_terms(terms: Sequence[str]) -> Variants:
    """Returns the model with some of its CLUB terms, for the rows whose terms it has.

    Args:
        terms: names of the terms of the model.

    Returns:
        Row to arguments; nothing for a model without CLUB terms.

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
    """Returns the model with codebooks of several sizes.

    Args:
        sizes: numbers of codes.
        standard: number of codes of the full model; None for a model without codes.

    Returns:
        Row to arguments; nothing for a model without codes.

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
    """Returns the scores of a row and their average.

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


def undone_parts(preset: str) -> dict[str, Any]:
    """Returns a preset of FCID, and the preset with one thing changed at a time.

    "plus" has the changes in `PLUS_ROWS`; of other presets each change to "small" is undone.

    Args:
        preset: name of the preset.

    Returns:
        Name to `entry`, whose hyperparameters are used, and `arguments`.

    Raises:
        ValueError: if the preset is unknown, or changes nothing.

    Example:

    >>> list(undone_parts("disentangled"))[1:3]
    ['disentangled', 'disentangled without backbone.quantize_level']
    >>> list(undone_parts("plus"))[:2]
    ['plus', 'plus, one group of channels']
    """
    presets = keras_cmg.models.FCID.presets
    if preset not in presets:
        raise ValueError(f"--ablate must be one of {sorted(presets)}. Received: {preset!r}")
    if preset == "plus":
        entry = entry_of("fcid", "plus")
        rows = {
            ", ".join(filter(None, ("plus", name))): {"entry": entry, "arguments": arguments}
            for name, arguments in PLUS_ROWS.items()
        }
        other = {"entry": entry, "arguments": {}, "preset": "disentangled"}
        return {**rows, "disentangled": other}
    small, changed = (_arguments(presets[name]) for name in ("small", preset))
    entry = entry_of("fcid", preset)
    without_each = {
        f"{preset} without {'.'.join(path)}": {
            "entry": entry,
            "arguments": _nested(path, small[path]),
        }
        for path in changed
        if changed[path] != small.get(path)
    }
    if not without_each:
        raise ValueError(f"--ablate must be another preset than small. Received: {preset!r}")
    return {
        # Trained as the preset is, so that only the model differs.
        "small": {"entry": entry, "arguments": {}, "preset": "small"},
        preset: {"entry": entry, "arguments": {}},
        **without_each,
    }


def _arguments(preset: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Path to value of everything in a preset; paths as in arguments of `from_preset`."""

    def walk(value: Any, path: tuple[str, ...]) -> dict[tuple[str, ...], Any]:
        if not isinstance(value, Mapping):
            return {path: value}
        return {k: v for name in value for k, v in walk(value[name], (*path, name)).items()}

    return {**walk(preset["backbone"], ("backbone",)), **walk(preset["objective"], ())}


def _nested(path: Sequence[str], value: Any) -> Any:
    return {path[0]: _nested(path[1:], value)} if path else value
