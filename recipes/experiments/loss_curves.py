"""Draws the terms of the loss by epoch, of one seed or of several in one plot (Figure 9).

Data: the history of a finished run of `pretrain` or `quickstart`, or of a training done now. Leaves
a picture per term, `loss_*.png`, and all of them on a page.

    python -m recipes loss_curves --run RUN --data vggsound --root FOLDER
    python -m recipes loss_curves --data digits --root FOLDER --seeds 3

A minute or two on one core for digits. Expected: every term falls or levels off, none explodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.protocol.clips import CLIP_SETS, PUBLISHED
from recipes.reporting import training_tables
from recipes.runner.options import DATA, ENCODER, RecipeOptions
from recipes.runner.provenance import write_json
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions((*DATA, *ENCODER), data=(*PUBLISHED, *CLIP_SETS))
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Writes the history of one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.encoder_of(job, clips)
    write_json(out / trained_encoders.HISTORY, encoder.history)
    return {
        "protocol": job.settings.protocol,
        "encoder": encoder.about,
        "loss_terms": encoder.model.loss_names,
        "features": clips.identity(),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table and the curves.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table, to be printed.
    """
    return training_tables.publish_training(runs, out, "The loss and its terms")
