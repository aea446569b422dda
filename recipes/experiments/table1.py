"""Cross-modal generalisation: a probe learns on one modality and is tested on another (Table 1).

Tasks: `ave`, the event of a clip (28 classes, accuracy); `avvp`, which events are when (25 classes,
F1); `ave_avvp`, learned on AVE, tested on AVVP; `ucf_vggsound`, UCF-101 for video and VGGSound for
sound (16 classes, accuracy). Data: the published data set of the task in its layout, or digits or
synthetic clips, parts of which take the place of two data sets.

    python -m recipes table1 --task ave --data ave --root FOLDER --run RUN    # RUN of `pretrain`
    python -m recipes table1 --task avvp --data digits --root FOLDER --seeds 3

Without a run it trains the encoder on the training clips: two and a half minutes on one core for
digits, except of `ucf_vggsound`, whose clips have one modality each. Published, FCID with TOC: 55.9
and 55.0 (ave), 43.6 and 45.1 (avvp), 57.4 and 58.5 (ave_avvp), 69.6 and 62.0 (ucf_vggsound).
Expected on digits: see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol import table1_protocol
from recipes.protocol.clips import CLIP_SETS, modalities_of
from recipes.protocol.tasks import TASKS
from recipes.reporting import charts, report_writer, table1_tables
from recipes.reporting.page import Picture, Section
from recipes.runner.options import DATA, ENCODER, PROBES, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    ("task", "directions", *DATA, *ENCODER, *PROBES),
    data=(*TASKS, *CLIP_SETS),
    defaults={"held_out": None},
    smoke={"toc_channels": (128,)},
)
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks that task, data and directions agree.

    Args:
        settings: resolved settings.

    Returns:
        Settings that leave the test videos of the task out of training.

    Raises:
        ValueError: if the data are not those of the task, or have not the modalities.
    """
    if settings.data not in (settings.task, *CLIP_SETS):
        raise ValueError(
            f"--data of --task {settings.task} must be one of {(settings.task, *CLIP_SETS)}. "
            f"Received: {settings.data!r}"
        )
    table1_protocol.check_directions(settings.directions, modalities_of(settings.data))
    return settings.replace(held_out=(settings.task,))


def run(job: Job, out: Path) -> dict[str, Any]:
    """Trains and tests the probes of one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings, task = job.settings, TASKS[job.settings.task]
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.encoder_of(job, clips)
    print(f"probing: {task.name}", flush=True)
    masks = table1_protocol.protocol_masks(
        encoder.backbone, task, settings.protocol, settings.toc_channels
    )
    measured = table1_protocol.evaluate(
        task,
        encoder.backbone,
        clips,
        masks,
        settings.directions,
        settings.probe_epochs,
        job.seed,
    )
    return {
        "protocol": settings.protocol,
        "encoder": encoder.about,
        "features": clips.identity(),
        **measured,
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
    task, data = TASKS[settings["task"]], settings["data"]
    name = keras_cmg.models.get_model_class(settings["model"]).__name__
    main = table1_tables.main_table(task, results, name, data)
    each = table1_tables.probe_tables(task, results)
    chart = Picture(charts.grouped_bars(each[0], "%"), each[0].title)
    return report_writer.publish(
        out,
        f"{task.column}: cross-modal generalisation",
        runs,
        [main, *each],
        [Section("Probes at a glance", [chart])],
        table1_tables.method(task, results[0], data),
    )
