"""Results of a benchmark, printed as a table and written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_facts
from data_tools.io.files import atomic_file


def report(name: str, results: Mapping[str, Any], out: str | None = None) -> None:
    """Prints results as a table, and writes them as JSON with the machine they were measured on.

    Args:
        name: name of the benchmark.
        results: name to number or text.
        out: path of the JSON file; none if None.

    Example:

    >>> report("example", {"seconds": 1.5})
    example
      seconds  1.5
    """
    width = max(map(len, results))
    print(name)
    for key, value in results.items():
        print(f"  {key:{width}}  {f'{value:.4g}' if isinstance(value, float) else value}")
    if out is None:
        return
    content = {"benchmark": name, "machine": machine_facts(), "results": dict(results)}
    with atomic_file(Path(out)) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
