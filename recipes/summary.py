"""Several runs of one recipe as one table: mean and 95 % interval over seeds.

python -m recipes.summary runs/seed0 runs/seed1 runs/seed2
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from recipes.runner import RESULT


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval, by Student's t.

    Args:
        values: one number per seed.

    Returns:
        Mean and half-width; the half-width of a single value is NaN.

    Raises:
        ValueError: without values.

    Example:
        >>> mean, half = interval([0.9, 1.0])
        >>> round(mean, 3), round(half, 3)
        (0.95, 0.635)
    """
    if not values:
        raise ValueError("`values` must hold at least one number; received none")
    count = len(values)
    mean = sum(values) / count
    if count == 1:
        return mean, math.nan
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return mean, float(stats.t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of the scores of several runs, in per cent.

    Args:
        results: contents of `result.json`, one per run.

    Returns:
        Lines of Markdown.

    Raises:
        ValueError: if the runs differ in data, protocol or settings, or share a seed.

    Example:
        >>> run = {"data": "x", "protocol": "heldout", "settings": {}, "chance": 0.1, "seed": 0,
        ...        "scores": {"a->v": 1.0}, "toc": {"128": {"a->v": 0.5}}, "continuous": {}}
        >>> print(table([run, {**run, "seed": 1}]).splitlines()[-1])
        | a->v | 100.0 ± 0.0 | 50.0 ± 0.0 |
    """
    for key in ("data", "protocol", "settings"):
        if any(result[key] != results[0][key] for result in results):
            raise ValueError(f"all runs must have the same {key!r}")
    seeds = [result["seed"] for result in results]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"every run must have a seed of its own; received: {seeds}")
    columns = {"codes": [result["scores"] for result in results]}
    for kept in results[0]["toc"]:
        columns[f"TOC {kept}"] = [result["toc"][kept] for result in results]
    if results[0]["continuous"]:
        columns["continuous"] = [result["continuous"] for result in results]
    lines = [
        f"Seeds {', '.join(map(str, sorted(seeds)))}; chance {100 * results[0]['chance']:.1f}.",
        "",
        f"| probe | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for pair in results[0]["scores"]:
        cells = []
        for runs in columns.values():
            mean, half = interval([100 * scores[pair] for scores in runs])
            cells.append(f"{mean:.1f}" if math.isnan(half) else f"{mean:.1f} ± {half:.1f}")
        lines.append(f"| {pair} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table of the runs named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.summary", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    runs = parser.parse_args(arguments).runs
    try:
        results = [json.loads((run / RESULT).read_text(encoding="utf-8")) for run in runs]
        print(table(results))
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
