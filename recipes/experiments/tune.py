"""Searches for hyperparameters of a model, and tests on fresh seeds whether they beat the preset.

KerasTuner tries settings; each is trained without labels on several seeds. The score is the
accuracy of linear probes on validation clips of the modality they were trained on: the search reads
no target modality and no test label. Afterwards preset and best settings are trained on seeds that
the search has not used, and only there the cross-modal test scores are read, once.

    python -m recipes tune                                    # FCID on synthetic data
    python -m recipes tune --model dcid --trials 20 --workers 4
    python -m recipes tune --data digits --root FOLDER

Leaves `model.keras` of the best settings on the first fresh seed, with extractors, labels and card.

A search that was stopped goes on where it stood when the same command is given again: trials and
trainings are found again by content in `--cache`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol.clips import CLIP_SETS, Clips
from recipes.reporting import report_writer, tuning_tables
from recipes.reporting.model_card import write_card
from recipes.runner.options import DATA, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import hyperparameter_search, trained_encoders
from recipes.training.hyperparameter_spaces import space_of
from recipes.training.model_entries import entry_of

OPTIONS = RecipeOptions(
    (
        *("model", "preset", "trials", "trial_seeds", "final_seeds", "method"),
        *("hyperparameters", "workers", "epochs", "batch_size", "learning_rate"),
        "cache",
        *(name for name in DATA if name not in ("max_clips", "protocol")),
    ),
    data=CLIP_SETS,
    defaults={
        "batch_size": 80,
        "trials": 12,
        "trial_seeds": 2,
        "max_clips": None,
        "protocol": "heldout",
    },
    smoke={
        "num_clips": {"train": 40, "val": 20, "test": 20},
        "trials": 2,
        "trial_seeds": 1,
        "final_seeds": 1,
    },
)
FRESH = 1000
"""First seed of the comparison; a search has fewer."""
BEST = "best found"
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks the hyperparameters.

    Args:
        settings: resolved settings.

    Returns:
        The same settings.

    Raises:
        ValueError: if a hyperparameter is unknown, or there is no trial.
    """
    if settings.trials < 1:
        raise ValueError(f"--trials must be at least 1. Received: {settings.trials}")
    space_of(entry_of(settings.model, settings.preset), settings.hyperparameters)
    return settings


def run(job: Job, out: Path) -> dict[str, Any]:
    """Runs a search, and the comparison after it.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    start, settings = time.perf_counter(), job.settings
    clips = trained_encoders.open_clips(job)
    clips.require_modalities()
    entry = entry_of(settings.model, settings.preset)
    wanted = hyperparameter_search.new_search(
        job,
        clips,
        entry,
        space_of(entry, settings.hyperparameters),
        tuple(range(job.seed, job.seed + settings.trial_seeds)),
    )
    trials = hyperparameter_search.search(wanted, job.resources.workers)
    search_seconds = time.perf_counter() - start
    seeds = [FRESH + number for number in range(settings.final_seeds)]
    compared: dict[str, list[dict[str, float]]] = {}
    for name, values in (("preset", {}), (BEST, trials[0]["values"])):
        compared[name] = []
        for seed in seeds:
            model = wanted.hypermodel().trained(values, seed)
            scores = hyperparameter_search.final_scores(wanted, values, model.backbone)
            compared[name].append(scores)
            if name == BEST and seed == FRESH:
                _save(model, job, clips, scores, out)
    return {
        "features": clips.identity(),
        "preset_values": wanted.hypermodel().defaults(),
        "trials": trials,
        "final_seeds": seeds,
        "final": compared,
        "search_seconds": round(search_seconds, 1),
        "workers": job.resources.workers,
    }


def _save(
    model: keras_cmg.models.Pretrainer, job: Job, clips: Clips, scores: dict[str, float], out: Path
) -> None:
    """Keeps the model of the best settings on the first fresh seed."""
    about = {"seed": FRESH, "parameters": trained_encoders.count_parameters(model)}
    encoder = trained_encoders.Encoder(model, model.history.history, about)
    trained_encoders.save(encoder, clips, out)
    write_card(
        out,
        job,
        clips,
        encoder,
        {f"probes, {name}": {"accuracy": score} for name, score in scores.items()},
    )


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes tables and a page with a chart of the search.

    Args:
        runs: finished searches.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    tables = [tuning_tables.final_table(runs), *map(tuning_tables.trials_table, runs)]
    sections = [tuning_tables.course_section(run) for run in runs]
    method = (__doc__ or "").partition("\n\n")[0]
    return report_writer.publish(out, "Tuning", runs, tables, sections, method)
