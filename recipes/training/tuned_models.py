"""Settings of the models that `compare` trains: from a file, from the repository, or searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.files import read_record
from keras_cmg.models.base.presets import merged
from recipes.protocol.clips import Clips
from recipes.runner.seed_runs import Job
from recipes.runner.settings import Settings
from recipes.training.hyperparameter_spaces import COMPARED, arguments_of, space_of
from recipes.training.model_entries import of_entry

CONFIGS = Path(__file__).parents[1] / "configs"
TUNED = "tuned.json"
CHOSEN = {"learning_rate": float, "schedule": str, "arguments": dict}
"""Form of what a file of tuned settings holds for each model."""
PRESET: dict[str, Any] = {"learning_rate": 4e-4, "schedule": "constant", "arguments": {}}
"""Settings of a model that was not tuned; the learning rate is the authors'."""
SEARCH_SEED = 1000
"""Seed of all trials; not one of those that are reported."""


def known_settings(settings: Settings, entries: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns the settings of models that are not searched for.

    Args:
        settings: with `data`, `tuned`, the file to read, and `smoke` runs without a file.
        entries: models, or `model:preset`.

    Returns:
        Entry to the settings of the file, of the repository's configuration of the data, or of the
        preset.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is damaged, or another file.
    """
    path = Path(settings.tuned or CONFIGS / f"compare_{settings.data}.json")
    known = read_tuned(path) if settings.tuned or path.is_file() else {}
    return {entry: known.get(entry, PRESET) for entry in entries}


def applied(
    settings: Settings,
    entry: str,
    chosen: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
) -> Settings:
    """Returns settings with a model and what was chosen for it.

    Args:
        settings: any settings.
        entry: model, or `model:preset`.
        chosen: `learning_rate`, `schedule` and `arguments`.
        changes: further arguments of the model.

    Example:

    >>> applied(Settings(epochs=3), "fcid:small", PRESET, {"temperature": 0.2}).set
    {'temperature': 0.2}
    """
    return of_entry(settings, entry).replace(
        learning_rate=chosen["learning_rate"],
        schedule=chosen["schedule"],
        set=merged(chosen["arguments"], changes or {}),
    )


def read_tuned(path: Path) -> dict[str, dict[str, Any]]:
    """Reads what an earlier search chose.

    Args:
        path: file `tuned.json`.

    Returns:
        Entry to `learning_rate`, `schedule` and `arguments`.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is damaged, or another file.
    """
    try:
        models = read_record(path, {"models": {str: CHOSEN}})["models"]
    except ValueError as error:
        raise ValueError(
            f"--tuned must be a {TUNED} with {', '.join(CHOSEN)} of every model: {error}"
        ) from error
    return {entry: {key: found[key] for key in CHOSEN} for entry, found in models.items()}


def tune_model(job: Job, clips: Clips, entry: str) -> dict[str, Any]:
    """Searches for the settings of a model.

    Args:
        job: a seed of a recipe, with `trials` and `method`.
        clips: clips to train and probe on.
        entry: model, or `model:preset`.

    Returns:
        `learning_rate`, `schedule`, `arguments`, `chosen_trial`, and `trials`, by number.

    Raises:
        ValueError: if every trial failed.
    """
    # Imported here: only a search needs KerasTuner.
    from recipes.training.hyperparameter_search import new_search, search

    space = space_of(entry, (*COMPARED, *arguments_of(entry)))
    wanted = new_search(job, clips, entry, space, (SEARCH_SEED,))
    trials = search(wanted, job.resources.workers)
    model = wanted.hypermodel()

    def found(trial: dict[str, Any]) -> dict[str, Any]:
        values = trial["values"]
        return {
            "learning_rate": values.get("learning_rate", wanted.learning_rate),
            "schedule": values.get("schedule", PRESET["schedule"]),
            "arguments": model.arguments(values),
        }

    records = [
        {**found(trial), "validation": trial["score"]}
        for trial in sorted(trials, key=lambda trial: trial["trial"])
    ]
    for number, record in enumerate(records):
        print(f"{entry}, trial {number}: {record['validation']}", flush=True)
    return {**found(trials[0]), "chosen_trial": trials[0]["trial"], "trials": records}
