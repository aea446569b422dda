"""Runs the cases of one target."""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.contract import Violation, checked, peak
from tests.fuzz.targets import TARGETS, Files

BATCH = 500
"""Cases that Hypothesis makes from one seed."""


def write(folder: Path, files: Files) -> Path:
    """Writes a case, in the place of the one before."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def run(name: str, scratch: Path, count: int, seconds: float, first_seed: int = 0) -> int:
    """Runs cases of a target until their number or the time is reached.

    Args:
        name: name of the target.
        scratch: an empty folder; `case` in it is the case that runs.
        count: largest number of cases.
        seconds: time limit.
        first_seed: decides all cases.

    Returns:
        The number of cases.

    Raises:
        Violation: if a case breaks the contract; the case stays in `scratch`.
    """
    (scratch / "seeds").mkdir(parents=True)
    made = TARGETS[name](scratch / "seeds")
    end = time.monotonic() + seconds
    done = 0
    state: dict[str, int] = {}
    broken: list[Violation] = []

    while done < count and time.monotonic() < end and not broken:

        @seed(first_seed + done)
        @settings(
            max_examples=min(BATCH, count - done),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(made.cases)
        def batch(files: Files) -> None:
            nonlocal done
            if broken or done >= count or time.monotonic() > end:
                return
            folder = write(scratch / "case", files)
            done += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    start = state.setdefault("start", peak())
                    checked(lambda: made.read(folder), start, folder, *folder.rglob("*"))
                except Violation as error:
                    broken.append(error)

        batch()
    if broken:
        raise broken[0]
    return done


def work(name: str, scratch: str, seconds: float, first_seed: int, out: Any) -> None:
    """Runs cases in this process and reports their number, or what broke the contract."""
    try:
        out.put(("done", run(name, Path(scratch), 10**9, seconds, first_seed)))
    except Violation as error:
        out.put(("broken", str(error)))
    except BaseException as error:
        out.put(("broken", f"the fuzzer: {type(error).__name__}: {error}"))
        raise
