"""Indexes the test clips of each modality by their codes and finds them by the others.

With a model trained without labels, or that of a finished run, each test clip is a query to an
index (`keras_cmg.search.CodeIndex`) of the test clips of each modality; a clip found is correct if
it has the query's class. Labels are read for counting only. A clip's own recordings in other
modalities are left out, so that pairs that were trained on together do not count.

    python -m recipes retrieval_index                      # synthetic data, no download
    python -m recipes retrieval_index --data digits --root FOLDER
    python -m recipes retrieval_index --run runs/quickstart  # its model, its features

Leaves `report.html`, `table.md` and `result.json` in the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.protocol import code_index
from recipes.protocol.clips import CLIP_SETS
from recipes.reporting import charts, recall_tables, report_writer
from recipes.reporting.page import Picture, Section
from recipes.runner.options import DATA, ENCODER, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    (
        "num_codes",
        *(name for name in DATA if name != "max_clips"),
        *(name for name in ENCODER if name != "held_out"),
    ),
    data=CLIP_SETS,
)
METHOD = (
    "Every test clip of one modality is a query to the test clips of another; the query's own clip "
    "is left out. P@1 and P@10: share of the first clip found, and of the first ten, that have the "
    "query's class; R@10: share of the queries with one among the first ten. Per cent."
)
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Runs the recipe on one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.encoder_of(job, clips)
    encoder.backbone.require_codebook("an index of codes")
    return {
        "protocol": job.settings.protocol,
        "encoder": encoder.about,
        "features": clips.identity(),
        **code_index.measure(encoder.backbone, clips, job.settings.num_codes),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes a table per measure, and a page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    measured = recall_tables.index_tables([run.result for run in runs])
    shown = measured[1]
    chart = Picture(charts.grouped_bars(shown, "%"), shown.title)
    section = Section("Precision at a glance", [chart])
    title = "Clips of one modality found by another"
    return report_writer.publish(out, title, runs, measured, [section], METHOD)
