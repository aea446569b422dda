"""Time and memory of training of every model, relative to DCID's (Table 8).

Data: any; the sizes of the features decide. Every model trains on the same batches: steps are timed
in turns in one process, memory is that of a process of its own for each model. Also the seconds
that TOC takes.

    python -m recipes efficiency --data vggsound --root FOLDER --preset paper --batch-size 80
    python -m recipes efficiency --data digits --root FOLDER

A few minutes on one core for digits. Published, of DCID's: CMCM 81 % of the memory and 76 % of the
time, FCID 96 % and 99 %, on one RTX 3090.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.protocol.clips import CLIP_SETS, PUBLISHED
from recipes.reporting import charts, cost_tables, report_writer
from recipes.reporting.page import Picture, Section
from recipes.runner.options import DATA, RecipeOptions, model_names
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import step_costs, trained_encoders
from recipes.training.model_entries import checked_entries, of_entry

OPTIONS = RecipeOptions(
    (
        *("models", "preset", "set", "batch_size", "learning_rate", "schedule"),
        *("steps", "rounds", "clock"),
        *DATA,
    ),
    data=(*PUBLISHED, *CLIP_SETS),
    smoke={"models": ("dcid", "fcid"), "steps": 1, "rounds": 1},
)
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks the models.

    Args:
        settings: resolved settings.

    Returns:
        Settings with an entry per model, DCID first.

    Raises:
        ValueError: if a model or its preset is unknown.
    """
    wanted = settings.models or model_names()
    own = [entry for entry in wanted if entry.split(":")[0] == cost_tables.YARDSTICK]
    entries = (*own, *wanted) if own else (cost_tables.YARDSTICK, *wanted)
    return settings.replace(models=checked_entries(entries, settings.preset))


def run(job: Job, out: Path) -> dict[str, Any]:
    """Measures on the batches of one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    memory = {}
    for entry in settings.models:
        print(f"memory of {entry}", flush=True)
        memory[entry] = step_costs.training_memory(of_entry(settings, entry), clips, job.seed)
    print("time in turns", flush=True)
    return {
        "protocol": settings.protocol,
        "features": clips.identity(),
        "gigabytes": memory,
        **step_costs.training_times(settings, settings.models, clips, job.seed),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results, settings = [run.result for run in runs], runs[0].result["settings"]
    beside = cost_tables.relative_table(results, settings["data"])
    each = cost_tables.absolute_table(results, settings["batch_size"])
    chart = Picture(charts.grouped_bars(beside, "% of DCID"), beside.title)
    return report_writer.publish(
        out,
        "Cost of training",
        runs,
        [beside, each],
        [Section("Cost at a glance", [chart])],
        cost_tables.method(settings),
    )
