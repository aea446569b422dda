"""Several runs of one recipe as one table: mean and 95 % interval over seeds.

python -m recipes.reporting.summary runs/seed0 runs/seed1 runs/seed2
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from recipes.reporting import scores
from recipes.runner.output import RESULT


def main(arguments: list[str] | None = None) -> int:
    """Prints the table of the runs named on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.reporting.summary", description=__doc__
    )
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    runs = parser.parse_args(arguments).runs
    try:
        results = [json.loads((run / RESULT).read_text(encoding="utf-8")) for run in runs]
        table = scores.table(results)
        seeds = sorted(result["seed"] for result in results)
        print(f"Seeds {', '.join(map(str, seeds))}. {table.note}\n\n{table.markdown()}")
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
