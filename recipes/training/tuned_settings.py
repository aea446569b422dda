"""Settings of each system: given, or searched for by trials; and runs that are not repeated."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras_cmg
from data_tools.io.files import read_json
from recipes.protocol import comparison
from recipes.runner import provenance
from recipes.training import search_spaces
from recipes.training.entries import parts

SEED = 1000
"""Of all trials; not one of those that are reported."""
STARTED = time.time()
TUNED = "tuned.json"
CHOSEN = (*search_spaces.DEFAULTS, "changes")
"""What a trial draws and a file of settings holds for each system."""


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """What an earlier search chose.

    Args:
        path: of a file `tuned.json`.

    Returns:
        Entry to `learning_rate`, `schedule` and `changes`.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or no such file.
    """
    try:
        return {
            entry: {key: found[key] for key in CHOSEN}
            for entry, found in read_json(path)["systems"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"--tuned must be a {TUNED} with {', '.join(CHOSEN)} of every system; {path} is not"
        ) from error


def spec_of(
    budget: Mapping[str, Any], entry: str, tuned: Mapping[str, Any], seed: int, test: bool
) -> dict[str, Any]:
    """What `recipes.protocol.comparison.measure` is told.

    Args:
        budget: what is the same for all systems.
        entry: system, or `system:preset`.
        tuned: `learning_rate`, `schedule` and `changes`.
        seed: of weights, dropout and order.
        test: whether to look at the test split.

    Returns:
        The spec.

    Example:

    >>> spec_of({"epochs": 2}, "fcid", search_spaces.draw("fcid", 0), 0, True)["preset"]
    'plus'
    """
    system, preset = parts(entry)
    chosen = {key: tuned[key] for key in CHOSEN}
    return {"system": system, "preset": preset, **chosen, **budget, "seed": seed, "test": test}


def search(
    options: argparse.Namespace, budget: Mapping[str, Any], entry: str, count: int
) -> dict[str, Any]:
    """The settings of the best of several trials.

    Args:
        options: of the command line.
        budget: what is the same for all systems, see `spec_of`.
        entry: system, or `system:preset`.
        count: how many trials.

    Returns:
        `learning_rate`, `schedule`, `changes`, `chosen_trial`, and `trials`, what each scored.

    Raises:
        ValueError: every trial failed.
    """
    trials: list[dict[str, Any]] = []
    for trial in range(count):
        drawn = search_spaces.draw(entry, trial)
        spec = spec_of(budget, entry, drawn, SEED, test=False)
        try:
            found = one_run(options, entry, f"trial{trial}", spec)
            trials.append({**drawn, "validation": found["validation"]})
        except ValueError as error:
            # Such as a loss that stops being finite: settings that do not work.
            trials.append({**drawn, "validation": None, "error": str(error)})
        print(f"{entry}, trial {trial}: {trials[-1]['validation']}", flush=True)
    scored = [trial for trial in trials if trial["validation"] is not None]
    if not scored:
        raise ValueError(f"every trial of {entry} failed; the last: {trials[-1]['error']}")
    # The first of equally good ones.
    best = max(scored, key=lambda trial: trial["validation"])
    return {
        **{key: best[key] for key in CHOSEN},
        "chosen_trial": trials.index(best),
        "trials": trials,
    }


def one_run(
    options: argparse.Namespace, name: str, label: str, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """What one system did on one seed or in one trial: measured now, or found as it was left.

    Args:
        options: of the command line.
        name: of the system.
        label: of the seed or the trial.
        spec: see `recipes.protocol.comparison.measure`.

    Returns:
        What was measured.

    Raises:
        ValueError: the system cannot be trained.
    """
    path = Path(options.out) / "runs" / name.replace(":", "-").replace(" ", "-") / f"{label}.json"
    # Where the features lie does not matter, what they are does.
    preset = keras_cmg.models.get_model_class(spec["system"]).presets[spec["preset"]]
    identity = provenance.plain({**spec, "arguments": preset, "versions": provenance.versions()})
    del identity["features"]
    # Trials of this very run are kept from seed to seed.
    if path.is_file() and (options.resume or path.stat().st_mtime >= STARTED):
        found = read_json(path)
        if found["spec"] == identity:
            return found["measured"]
    measured = comparison.isolated(spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance.write_json(path, {"spec": identity, "measured": measured})
    return measured
