"""Trains any model without labels and keeps it, for `--run` of other recipes.

Data: VGGSound-AVEL40K, VALOR-32K or any other published set in its layout, or digits or synthetic
clips. Leaves `model.keras` (weights, codebook, both optimisers) with its extractors, labels and
card, `history.json` and the curves of the loss (Figure 9).

    python -m recipes pretrain --data vggsound --root FOLDER --model fcid --preset paper --epochs 5
    python -m recipes pretrain --data digits --root FOLDER --model fcid

Validation and test videos of the tasks of Table 1 are not trained on: their annotations must lie
below the same folder, or `--held-out` names the tasks that will be tested.

A minute or two on one core for digits; the preset "paper" needs a GPU. What the loss should reach
depends on model and data; codes in use and their agreement across modalities should grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.protocol.clips import CLIP_SETS, PUBLISHED
from recipes.reporting import training_tables
from recipes.reporting.model_card import write_card
from recipes.runner.options import DATA, ENCODER, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    (*DATA, *(name for name in ENCODER if name not in ("run", "cache"))),
    data=(*PUBLISHED, *CLIP_SETS),
)
LAST = ("loss", "val_loss", "val_code_agreement", "val_partner_retrieval")
"""Terms of the last epoch that the card states."""
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Trains one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.train_new(job, clips)
    trained_encoders.save(encoder, clips, out)
    last = {name: encoder.history[name][-1] for name in LAST if name in encoder.history}
    write_card(out, job, clips, encoder, {"last epoch": last})
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
    return training_tables.publish_training(runs, out, "Training without labels")
