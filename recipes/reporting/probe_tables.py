"""Tables of the accuracies of probes: for a terminal, over seeds, and shaded for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recipes.reporting import tables
from recipes.reporting.page import ShadedTable


def score_columns(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Returns the columns of the table of scores: view of the codes to accuracies.

    Args:
        result: result of a run.

    Returns:
        Heading to pair to accuracy.

    Example:

    >>> score_columns({"scores": {"a->b": 0.5}, "toc": {"64": {"a->b": 0.6}}, "continuous": {}})
    {'codes': {'a->b': 0.5}, 'TOC 64': {'a->b': 0.6}, 'continuous': {}}
    """
    return {
        "codes": result["scores"],
        **{f"TOC {name}": scores for name, scores in result["toc"].items()},
        "continuous": result["continuous"],
    }


def pairs_in_order(scores: Mapping[str, float]) -> list[str]:
    """Returns pairs of modalities, those of different modalities first.

    Args:
        scores: "source->target" to accuracy.

    Returns:
        The keys.

    Example:

    >>> pairs_in_order({"a->a": 1.0, "a->b": 0.5})
    ['a->b', 'a->a']
    """
    return sorted(scores, key=lambda pair: (within(pair), pair))


def within(pair: str) -> bool:
    """Returns whether a probe is tested on the modality it was trained on.

    Args:
        pair: "source->target".

    Returns:
        True or False.

    Example:

    >>> within("audio->audio")
    True
    """
    source, target = pair.split("->")
    return source == target


def mean_across(scores: Mapping[str, float]) -> float:
    """Returns the mean accuracy over the pairs of different modalities.

    Args:
        scores: "source->target" to accuracy.

    Returns:
        The mean.

    Example:

    >>> mean_across({"a->a": 1.0, "a->b": 0.5, "b->a": 0.7})
    0.6
    """
    across = [score for pair, score in scores.items() if not within(pair)]
    return sum(across) / len(across)


def score_lines(result: Mapping[str, Any]) -> str:
    """Returns the table of scores as aligned text, in per cent.

    Args:
        result: result of a run.

    Returns:
        Lines.

    Example:

    >>> scores = {"a->b": 0.5, "b->b": 1.0}
    >>> print(score_lines({"scores": scores, "toc": {}, "continuous": scores, "chance": 0.1}))
    trained -> tested   codes   continuous   chance
    a->b                 50.0         50.0     10.0
    b->b                100.0        100.0     10.0
    """
    columns = score_columns(result)
    columns["chance"] = dict.fromkeys(result["scores"], result["chance"])
    first = "trained -> tested"
    lines = [first + "".join(f"   {heading:>5}" for heading in columns)]
    for pair in pairs_in_order(result["scores"]):
        cells = (
            f"   {100 * scores[pair]:{max(5, len(heading))}.1f}"
            for heading, scores in columns.items()
        )
        lines.append(pair.ljust(len(first)) + "".join(cells))
    return "\n".join(lines)


def shaded_table(result: Mapping[str, Any]) -> ShadedTable:
    """Returns the table of scores for a page, cells shaded by their value.

    Args:
        result: result of a run.

    Example:

    >>> scores = {"a->b": 0.5, "b->b": 1.0}
    >>> table = shaded_table({"scores": scores, "toc": {}, "continuous": scores, "chance": 0.1})
    >>> table.groups["Across modalities"]
    [('a → b', [50.0, 50.0, 10.0])]
    """
    columns = score_columns(result)
    groups: dict[str, list[tuple[str, list[float]]]] = {}
    for pair in pairs_in_order(result["scores"]):
        title = "Within one modality: the upper bound" if within(pair) else "Across modalities"
        numbers = [100 * scores[pair] for scores in columns.values()]
        row = (pair.replace("->", " → "), [*numbers, 100 * result["chance"]])
        groups.setdefault(title, []).append(row)
    return ShadedTable("trained → tested", [*columns, "chance"], groups)


def table_over_seeds(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the scores of several seeds in per cent.

    Args:
        results: results, one per seed.

    Returns:
        The table.

    Example:

    >>> run = {"chance": 0.1,
    ...        "scores": {"a->v": 1.0}, "toc": {"128": {"a->v": 0.5}}, "continuous": {}}
    >>> print(table_over_seeds([run, run]).markdown().splitlines()[-1])
    | a->v | 100.0 ± 0.0 | 50.0 ± 0.0 |
    """
    columns = [score_columns(result) for result in results]
    measured = {
        pair: {
            heading: [100 * run[heading][pair] for run in columns]
            for heading, column in columns[0].items()
            if pair in column
        }
        for pair in pairs_in_order(results[0]["scores"])
    }
    chance = f"Chance is {100 * results[0]['chance']:.1f}."
    return tables.over_seeds("Accuracy of probes (%)", "trained -> tested", measured, note=chance)
