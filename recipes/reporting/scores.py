"""Accuracies of the probes of a run, as tables for the terminal, for Markdown and for a page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from recipes.reporting import tables


def score_columns(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Columns of the table of scores: what the probes saw, and their accuracies.

    Args:
        result: of a run.

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
    """Pairs of modalities, first from one to another, then within one.

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
    """Whether a probe is tested on the modality it was trained on.

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
    """Mean accuracy over the pairs of two different modalities.

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
    """The table of scores as aligned text, in per cent.

    Args:
        result: of a run.

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


def score_table(result: Mapping[str, Any]) -> str:
    """The table of scores as HTML, cells shaded by their value.

    Args:
        result: of a run.

    Returns:
        An HTML table.

    Example:

    >>> scores = {"a->b": 0.5, "b->b": 1.0}
    >>> table = score_table({"scores": scores, "toc": {}, "continuous": scores, "chance": 0.1})
    >>> table.count("<tr"), "50.0" in table
    (5, True)
    """
    columns = score_columns(result)
    heads = "".join(f"<th>{html.escape(heading)}</th>" for heading in columns)
    rows = [f"<thead><tr><th>trained → tested</th>{heads}<th>chance</th></tr></thead><tbody>"]
    titles = {False: "Across modalities", True: "Within one modality: the upper bound"}
    for pair in pairs_in_order(result["scores"]):
        if within(pair) in titles:
            title = titles.pop(within(pair))
            rows.append(f'<tr class="group"><td colspan="{len(columns) + 2}">{title}</td></tr>')
        cells = "".join(
            f'<td class="bar" style="--share:{100 * scores[pair]:.1f}%">'
            f"{100 * scores[pair]:.1f}</td>"
            for scores in columns.values()
        )
        name = html.escape(pair.replace("->", " → "))
        rows.append(f"<tr><td>{name}</td>{cells}<td>{100 * result['chance']:.1f}</td></tr>")
    return f"<table>{''.join(rows)}</tbody></table>"


def table(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """The scores of several runs in per cent, over seeds.

    Args:
        results: contents of `result.json`, one per run.

    Returns:
        The table.

    Raises:
        ValueError: if the runs differ in protocol or settings, or share a seed.

    Example:

    >>> run = {"protocol": "heldout", "settings": {}, "chance": 0.1, "seed": 0,
    ...        "scores": {"a->v": 1.0}, "toc": {"128": {"a->v": 0.5}}, "continuous": {}}
    >>> print(table([run, {**run, "seed": 1}]).markdown().splitlines()[-1])
    | a->v | 100.0 ± 0.0 | 50.0 ± 0.0 |
    """
    for key in ("protocol", "settings"):
        if any(result[key] != results[0][key] for result in results):
            raise ValueError(f"all runs must have the same {key!r}")
    seeds = [result["seed"] for result in results]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"every run must have a seed of its own; received: {seeds}")
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
