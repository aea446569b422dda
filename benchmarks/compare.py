"""Two files of `python -m benchmarks all`, as ratios with their noise."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.suite import FORMAT, aligned, measures

SAME = ("engine", "processor", "cores", "memory_gigabytes", "accelerator")
"""Facts of the machine that must be equal."""
CHANCE = 0.05
"""Ranges of so few runs that they fall apart by chance more often than this show nothing."""


def load(path: str) -> dict[str, Any]:
    """Reads a file of `python -m benchmarks all`.

    Args:
        path: of the file.

    Returns:
        As from `benchmarks.suite.run_all`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is another file.

    Example:

    >>> Path("a.json").write_text("[]")
    2
    >>> load("a.json")
    Traceback (most recent call last):
    ...
    ValueError: a.json must be a file of `python -m benchmarks all`, format 1
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        found = None
    known = isinstance(found, dict) and found.get("format") == FORMAT
    if not known or not {"machine", "rows", "quick"} <= set(found):
        raise ValueError(f"{path} must be a file of `python -m benchmarks all`, format {FORMAT}")
    return found


def check_comparable(first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """Raises an error for results of different machines, engines or settings.

    Other versions, commits and dates are what is compared, and no error.

    Args:
        first: as from `run_all`.
        second: the other.

    Raises:
        ValueError: naming each difference.

    Example:

    >>> facts = dict.fromkeys(SAME)
    >>> one = {"machine": {**facts, "engine": "jax"}, "quick": False, "rows": {}}
    >>> check_comparable(one, {**one, "machine": {**facts, "engine": "torch"}})
    Traceback (most recent call last):
    ...
    ValueError: two files must be of one machine, engine and settings; engine is jax and torch
    """
    pairs: dict[str, Any] = {
        key: (first["machine"].get(key), second["machine"].get(key)) for key in SAME
    }
    pairs["quick"] = (first["quick"], second["quick"])
    for name in first["rows"].keys() & second["rows"].keys():
        rows = (first["rows"][name], second["rows"][name])
        pairs[f"`arguments` of {name!r}"] = tuple(row["arguments"] for row in rows)
    different = [f"{key} is {a} and {b}" for key, (a, b) in pairs.items() if a != b]
    if different:
        raise ValueError(
            "two files must be of one machine, engine and settings; " + "; ".join(different)
        )


def chance_apart(first: int, second: int) -> float:
    """Computes how often the ranges of two samples of one distribution do not overlap.

    Args:
        first: number of values of one.
        second: number of values of the other.

    Returns:
        Probability.

    Example:

    >>> round(chance_apart(5, 5), 4), chance_apart(1, 1)
    (0.0079, 1.0)
    """
    return 2 / math.comb(first + second, first)


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compares each measure that both have.

    Args:
        first: as from `run_all`.
        second: the other.

    Returns:
        For each measure: `row`, `measure`, the medians `first` and `second`, `ratio`, second over
        first (None where first is 0), `noise`, the larger of both ranges as a share of the median,
        and `outside`, whether the ranges do not overlap: True, False, or None with too few runs to
        tell.

    Raises:
        ValueError: as `check_comparable`.

    Example:

    >>> def result(*seconds):
    ...     runs = [{"seconds": value} for value in seconds]
    ...     row = {"benchmark": "toc", "arguments": {}, "runs": runs, "problem": None}
    ...     return {"machine": {}, "quick": False, "rows": {"toc": row}}
    >>> (found,) = compare(result(1.0, 1.1, 0.9, 1.0), result(2.0, 2.1, 2.2, 1.9))
    >>> found["ratio"], round(found["noise"], 2), found["outside"]
    (2.05, 0.2, True)
    """
    check_comparable(first, second)
    found = []
    for name, row in first["rows"].items():
        if name not in second["rows"]:
            continue
        others = measures(second["rows"][name])
        for measure, values in measures(row).items():
            if measure not in others:
                continue
            a, b = values, others[measure]
            medians = statistics.median(a), statistics.median(b)
            apart = max(a) < min(b) or max(b) < min(a)
            told = chance_apart(len(a), len(b)) <= CHANCE
            found.append(
                {
                    "row": name,
                    "measure": measure,
                    "first": medians[0],
                    "second": medians[1],
                    "ratio": medians[1] / medians[0] if medians[0] else None,
                    "noise": max(
                        (max(x) - min(x)) / abs(middle) if middle else 0.0
                        for x, middle in zip((a, b), medians, strict=True)
                    ),
                    "outside": apart if told else None,
                    "chance": chance_apart(len(a), len(b)),
                }
            )
    return found


MARKS = {True: "*", False: "", None: "?"}


def table(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Formats a comparison as a table.

    Args:
        first: as from `run_all`.
        second: the other.

    Returns:
        Lines: what differs between the machines' facts, the measures, and how many would be marked
        by chance. `*` marks ratios outside of the noise, `?` those of too few runs.

    Raises:
        ValueError: as `check_comparable`.

    Example:

    >>> empty = {"machine": {"commit": "a"}, "quick": False, "rows": {}}
    >>> print(table(empty, {**empty, "machine": {"commit": "b"}}))
    commit: a, then b
    no measure is in both files
    """
    found = compare(first, second)
    facts = {**first["machine"], **second["machine"]}
    pairs = {key: (first["machine"].get(key), second["machine"].get(key)) for key in facts}
    lines = [f"{key}: {a}, then {b}" for key, (a, b) in pairs.items() if a != b]
    for name in sorted(first["rows"].keys() ^ second["rows"].keys()):
        lines.append(f"{name}: only in one file")
    for found_in in (first, second):
        rows = found_in["rows"].items()
        lines += [f"{name}: {row['problem']}" for name, row in rows if row["problem"]]
    if not found:
        return "\n".join([*lines, "no measure is in both files"])
    cells = [("row", "measure", "first", "second", "ratio", "noise", "")]
    for one in found:
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.3f}"
        medians = (f"{one[key]:.4g}" for key in ("first", "second"))
        noise = f"{100 * one['noise']:.0f} %"
        cells.append((one["row"], one["measure"], *medians, ratio, noise, MARKS[one["outside"]]))
    told = [one for one in found if one["outside"] is not None]
    marked = sum(bool(one["outside"]) for one in told)
    expected = sum(one["chance"] for one in told)
    if told:
        lines.append(
            f"* {marked} of {len(told)} measures lie outside of the noise; "
            f"{expected:.1f} would by chance"
        )
    if len(told) < len(found):
        lines.append(f"? {len(found) - len(told)} measures have too few runs: use 4 or more")
    return "\n".join([*aligned(cells), *lines])
