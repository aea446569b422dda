"""Fuzzes every reader for a while: each in processes of its own, which a crash ends alone.

python -m tests.fuzz --minutes 60 --out build/fuzz
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.cases import work
from tests.fuzz.targets import SLOW, TARGETS

PRELOADED = ("keras_cmg", "data_tools.__main__", "recipes.runner.seed_runs", "torch", "PIL.Image")
PIECE = 60.0
"""Seconds after which another process goes on, so that memory is seen per process."""


def fuzz(name: str, seconds: float, folder: Path, first_seed: int) -> tuple[int, list[str]]:
    """Fuzzes one target.

    Args:
        name: its name.
        seconds: how long.
        folder: where cases that break the contract are kept.
        first_seed: of the first process.

    Returns:
        Number of cases, and what broke the contract.
    """
    cases, broken, end = 0, [], time.monotonic() + seconds
    number, context = 0, multiprocessing.get_context("fork")
    while (left := end - time.monotonic()) > 1 and len(broken) < 5:
        scratch = folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        out = context.Queue()
        arguments = (name, str(scratch), min(PIECE, left), first_seed + 10**6 * number, out)
        process = context.Process(target=work, args=arguments)
        process.start()
        process.join(min(PIECE, left) + 300)
        if process.is_alive():
            process.kill()
            process.join()
        kind, what = ("broken", f"ended its process: exit code {process.exitcode}")
        if process.exitcode == 0:
            kind, what = out.get(timeout=10)
        if kind == "done":
            cases += what
        else:
            broken.append(str(what))
            kept = folder / f"{name.replace(' ', '-')}-{len(broken)}"
            shutil.rmtree(kept, ignore_errors=True)
            if (scratch / "case").is_dir():
                shutil.copytree(scratch / "case", kept)
        number += 1
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    return cases, broken


def main(arguments: list[str] | None = None) -> int:
    """Runs the fuzzer.

    Returns:
        Exit code: 0, or 1 if a case broke the contract.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=sorted(TARGETS), help="targets to fuzz")
    parser.add_argument("--seed", type=int, default=0, help="decides all cases (%(default)s)")
    parser.add_argument("--out", default="build/fuzz", help="folder of the result (%(default)s)")
    options = parser.parse_args(arguments)
    names = options.only or sorted(TARGETS)
    # Once, here: the processes of the targets are forked.
    for module in PRELOADED:
        importlib.import_module(module)
    # Slow targets make few cases: they get twice the time of others.
    shares = {name: 2 if name in SLOW else 1 for name in names}
    unit = 60 * options.minutes / sum(shares.values())
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {}
    failed = False
    for name in names:
        cases, broken = fuzz(name, unit * shares[name], folder, options.seed)
        failed |= bool(broken)
        result[name] = {"cases": cases, "broken": broken}
        print(f"{name:22} {cases:9,} cases, {len(broken)} outside the contract", flush=True)
        for what in broken:
            print(f"  {what}", flush=True)
        (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
