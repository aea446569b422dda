"""How long the first training step of FCID takes in a new process, with and without a cache."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

import keras_cmg
from benchmarks.train import batch_of, peak_gigabytes
from keras_cmg.engine_settings import JAX_CACHE, JAX_CACHE_SECONDS
from recipes.protocol.resource_use import CLOCKS

CHECKOUT = Path(__file__).resolve().parents[1]


def run(
    preset: str = "small", batch_size: int = 32, rounds: int = 1, clock: str = "wall"
) -> dict[str, Any]:
    """Measures new processes in pairs: the first has an empty cache, the second that of the first.

    Only JAX keeps compiled programs.

    Args:
        preset: preset of FCID.
        batch_size: clips of the step.
        rounds: number of pairs.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`.

    Returns:
        The entries of `first_steps`, named `cold_` and `cached_`: medians over the pairs.

    Raises:
        ValueError: if `rounds` is below 1, or for an unknown clock.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1. Received: {rounds}")
    if clock not in CLOCKS:
        raise ValueError(f"`clock` must be one of {sorted(CLOCKS)}. Received: {clock!r}")
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as cache:
            for name in ("cold", "cached"):
                measured = _in_new_process(preset, batch_size, clock, cache)
                for key, value in measured.items():
                    found.setdefault(f"{name}_{key}", []).append(value)
    settings = {"preset": preset, "batch_size": batch_size, "clock": clock}
    return {**settings, **{key: statistics.median(values) for key, values in found.items()}}


def _in_new_process(preset: str, batch_size: int, clock: str, cache: str) -> Mapping[str, float]:
    left_out = (JAX_CACHE, JAX_CACHE_SECONDS)
    variables = {name: value for name, value in os.environ.items() if name not in left_out}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.compilation", preset, str(batch_size), clock],
        env={**variables, "KERAS_CMG_CACHE": cache},
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def first_steps(preset: str, batch_size: int, clock: str) -> dict[str, float]:
    """Builds a model and takes three steps.

    Args:
        preset: preset of FCID.
        batch_size: clips of a step.
        clock: as for `run`.

    Returns:
        `build_seconds`; `compile_seconds`, by which the first step takes longer than the third;
        `step_seconds`, of the third; `peak_gigabytes`, of the process.

    Example:

    >>> sorted(first_steps("small", 2, "wall"))
    ['build_seconds', 'compile_seconds', 'peak_gigabytes', 'step_seconds']
    """
    now = CLOCKS[clock]
    batch = batch_of(preset, batch_size)
    model = keras_cmg.models.FCID.from_preset(preset)
    model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.Adam(1e-3))
    times = [now()]
    model.build({name: x.shape for name, x in batch.items()})
    times.append(now())
    for _ in range(3):
        model.train_on_batch(batch)
        times.append(now())
    build, first, _, third = (after - before for before, after in itertools.pairwise(times))
    return {
        "build_seconds": build,
        "compile_seconds": first - third,
        "step_seconds": third,
        "peak_gigabytes": peak_gigabytes(),
    }


if __name__ == "__main__":
    print(json.dumps(first_steps(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
