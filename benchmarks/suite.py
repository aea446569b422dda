"""Every benchmark that a machine can run, in processes of their own, as one file and one table."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.files import atomic_file

CHECKOUT = Path(__file__).resolve().parents[1]
FORMAT = 1
"""Of the JSON file; another number is another layout."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A benchmark with its settings.

    Args:
        benchmark: name of the command.
        arguments: its options, without dashes.
        quick: options of a short run that only shows that everything works; None if there is none.
        needs: packages without which it cannot run.
        where: `"processor"` or `"gpu"`, the machines that it is meant for; None for both.
    """

    benchmark: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    quick: Mapping[str, Any] | None = None
    needs: tuple[str, ...] = ()
    where: str | None = None


ON_GPU = {"preset": "paper", "batch-size": 80, "product-size": 8192}
FITTING = {"fit-steps": 20, "tf32": "on"}
HALF = {"precision": "mixed_bfloat16"}
SHORT = {"batch-size": 2, "product-size": 128}

ROWS = {
    "toc": Row("toc", {}, {"codes": 10_000, "channels": 64}),
    "assign": Row("assign", {}, {"vectors": 512, "codes": 64, "channels": 16}),
    "quantizers": Row("quantizers", {}, {"vectors": 256, "codes": 32, "channels": 16}),
    "reconstruction": Row("reconstruction", {}, {"epochs": 1}, ("sklearn",)),
    "store": Row("store", {}, {"clips": 16, "batch-size": 4, "naive-clips": 4}),
    "rehearsal": Row("rehearsal", {"clips": 2400}, {"clips": 32, "batch-size": 4}),
    "extract": Row("extract", {}, {"clips": 4}, ("onnx", "onnxruntime", "PIL")),
    "train small": Row("train", {"batch-size": 32}, SHORT, (), "processor"),
    "train small bfloat16": Row("train", {"batch-size": 32, **HALF}, None, (), "processor"),
    "train paper": Row("train", {"preset": "paper"}, None, (), "processor"),
    "train paper in chunks": Row(
        "train", {"preset": "paper", "batch-chunks": 4}, {**SHORT, "batch-chunks": 2}
    ),
    "train paper on a GPU": Row("train", {**ON_GPU, **FITTING, **HALF}, None, (), "gpu"),
    "train paper float32 on a GPU": Row("train", {**ON_GPU, **FITTING}, None, (), "gpu"),
    "compile small": Row("compile", {}, {"batch-size": 2}, (), "processor"),
    "encode small": Row("encode", {}, SHORT, (), "processor"),
    "encode paper on a GPU": Row("encode", {**ON_GPU, **HALF}, None, (), "gpu"),
    "index": Row(
        "index",
        {"queries": 500},
        {"clips": 2000, "codes": 16, "channels": 8, "queries": 20},
        ("faiss",),
    ),
    "clip_search": Row(
        "clip_search", {}, {"clips": 2000, "codes": 16, "channels": 8, "queries": 5}, ("faiss",)
    ),
    "serve": Row("serve", {}, {"rounds": 5}, ("tensorflow",)),
}
"""Name of a row to what is run."""


def run_all(
    names: Iterable[str] | None = None,
    quick: bool = False,
    repeats: int = 5,
    timeout: float = 3600.0,
) -> dict[str, Any]:
    """Runs benchmarks, each run in a process of its own; every row once, then every row again.

    A row that fails, runs out of time or lacks a package does not stop the others.

    Args:
        names: rows to run, keys of `ROWS`; all that suit the machine if None.
        quick: run the short variants, whose numbers are too small to mean anything.
        repeats: runs of each row, whose differences are the noise that `compare` knows.
        timeout: seconds after which a run is ended.

    Returns:
        `format`, `quick`, `machine` and `rows`: name to `benchmark`, `arguments`, `runs` (the
        results of each run) and `problem` (text, or None).

    Raises:
        ValueError: if a name is unknown or `repeats` is below 1.

    Example:

    >>> run_all(["speed"])
    Traceback (most recent call last):
        ...
    ValueError: `names` must be rows of ['toc', 'assign', ...]. Received: ['speed']
    """
    unknown = sorted(set(names or ()) - set(ROWS))
    if unknown:
        raise ValueError(f"`names` must be rows of {list(ROWS)}. Received: {unknown}")
    if repeats < 1:
        raise ValueError(f"`repeats` must be at least 1. Received: {repeats}")
    # In a process of its own: this one leaves the memory of a GPU to the benchmarks.
    machine = json.loads(_output([sys.executable, "-m", "benchmarks.machine"], timeout))
    where = "gpu" if machine["accelerator"] else "processor"
    rows: dict[str, dict[str, Any]] = {}
    for name, row in ROWS.items():
        suits = row.where in (None, where) and (row.quick is not None or not quick)
        if name in names if names is not None else suits:
            arguments = dict(row.quick or {}) if quick else dict(row.arguments)
            missing = [name for name in row.needs if importlib.util.find_spec(name) is None]
            rows[name] = {
                "benchmark": row.benchmark,
                "arguments": arguments,
                "runs": [],
                "problem": f"needs the packages {missing}" if missing else None,
            }
    for turn in range(repeats):
        for name, found in rows.items():
            if found["problem"] is None:
                print(f"run {turn + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
                _run(found, quick, timeout)
    return {"format": FORMAT, "quick": quick, "machine": machine, "rows": rows}


def _run(row: dict[str, Any], quick: bool, timeout: float) -> None:
    """Adds the results of one run to a row, or its problem."""
    arguments = {**({"rounds": 2} if quick else {}), **row["arguments"]}
    words = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "results.json")
        command = [sys.executable, "-m", "benchmarks", row["benchmark"], *words, "--out", str(out)]
        try:
            _output(command, timeout)
            row["runs"].append(json.loads(out.read_text(encoding="utf-8"))["results"])
        except (RuntimeError, OSError, ValueError) as error:
            row["problem"] = str(error)


def _output(command: Sequence[str], timeout: float) -> str:
    """What a command writes; an error with the last line of its messages if it fails."""
    try:
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"took longer than {timeout:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(f"exit code {done.returncode}: {lines[-1]}")
    return done.stdout


def measures(row: Mapping[str, Any]) -> dict[str, list[float]]:
    """Collects the numbers of all runs of a row.

    Args:
        row: a row of `run_all`.

    Returns:
        Name to the values of the runs; settings and text are left out.

    Example:

    >>> runs = [{"clips": 3, "seconds": 1.5, "storage": "codes"}, {"clips": 3, "seconds": 1.7}]
    >>> measures({"benchmark": "index", "runs": runs})
    {'seconds': [1.5, 1.7]}
    """
    found: dict[str, list[float]] = {}
    for run in row["runs"]:
        for name, value in run.items():
            if name not in SETTINGS and isinstance(value, int | float):
                found.setdefault(name, []).append(float(value))
    return found


SETTINGS = frozenset(
    "clips codes channels vectors bits queries found rounds batch_size batch_chunks fit_steps "
    "product_size megabytes gigabytes calls_of_the_model".split()
)
"""Entries of results that are no measurements."""


def table(found: Mapping[str, Any]) -> str:
    """Formats all rows as one table.

    Args:
        found: as from `run_all`.

    Returns:
        Lines: the machine; row, measure, median, lowest and highest of the runs; problems.

    Example:

    >>> row = {"benchmark": "toc", "runs": [{"seconds": 2.0}, {"seconds": 1.0}], "problem": None}
    >>> broken = {**row, "runs": [], "problem": "exit code 1: no space left"}
    >>> print(table({"machine": {"cores": 2}, "rows": {"toc": row, "store": broken}}))
    cores: 2
    row  measure  median  lowest  highest
    toc  seconds     1.5       1        2
    store: exit code 1: no space left
    """
    lines = [("row", "measure", "median", "lowest", "highest")]
    for name, row in found["rows"].items():
        for measure, values in measures(row).items():
            numbers = (statistics.median(values), min(values), max(values))
            lines.append((name, measure, *(f"{number:.4g}" for number in numbers)))
    problems = [(n, row["problem"]) for n, row in found["rows"].items() if row["problem"]]
    facts = [f"{key}: {value}" for key, value in found["machine"].items()]
    return "\n".join([*facts, *aligned(lines), *(f"{n}: {problem}" for n, problem in problems)])


def aligned(lines: Sequence[Sequence[str]], left: int = 2) -> list[str]:
    """Aligns columns of text.

    Args:
        lines: rows of cells, each of the same number.
        left: number of columns that are aligned to the left; the others are to the right.

    Returns:
        One text for each row.

    Example:

    >>> aligned([("a", "b"), ("word", "10")], left=1)
    ['a      b', 'word  10']
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def write(found: Mapping[str, Any], path: str) -> None:
    """Writes the results of `run_all` as JSON.

    Args:
        found: as from `run_all`.
        path: of the file.

    Example:

    >>> write({"format": 1, "rows": {}}, "all.json")
    >>> json.loads(Path("all.json").read_text())["format"]
    1
    """
    with atomic_file(Path(path)) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
