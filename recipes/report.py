"""The scores of a run, as a table for the terminal and as a page that needs nothing else."""

from __future__ import annotations

from typing import Any


def score_columns(result: dict[str, Any]) -> dict[str, dict[str, float]]:
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


def pairs_in_order(scores: dict[str, float]) -> list[tuple[str, str]]:
    """Pairs of modalities, first from one to another, then within one.

    Args:
        scores: "source->target" to accuracy.

    Returns:
        Pairs of source and target.

    Example:

    >>> pairs_in_order({"a->a": 1.0, "a->b": 0.5})
    [('a', 'b'), ('a', 'a')]
    """
    pairs = [tuple(name.split("->")) for name in scores]
    return sorted(pairs, key=lambda pair: pair[0] == pair[1])


def score_lines(result: dict[str, Any]) -> str:
    """The table of scores as aligned text, in per cent.

    Args:
        result: of a run.

    Returns:
        Lines.

    Example:

    >>> scores = {"a->b": 0.5, "b->b": 1.0}
    >>> print(score_lines({"scores": scores, "toc": {}, "continuous": scores, "chance": 0.1}))
    probe on -> test on   codes   continuous   chance
    a -> b                 50.0         50.0     10.0
    b -> b                100.0        100.0     10.0
    """
    columns = score_columns(result)
    columns["chance"] = dict.fromkeys(result["scores"], result["chance"])
    pairs = pairs_in_order(result["scores"])
    names = ["probe on -> test on", *(f"{a} -> {b}" for a, b in pairs)]
    width = max(map(len, names))
    lines = [names[0].ljust(width) + "".join(f"   {heading:>5}" for heading in columns)]
    for name, (source, target) in zip(names[1:], pairs, strict=True):
        cells = (
            f"   {100 * scores[f'{source}->{target}']:{max(5, len(heading))}.1f}"
            for heading, scores in columns.items()
        )
        lines.append(name.ljust(width) + "".join(cells))
    return "\n".join(lines)
