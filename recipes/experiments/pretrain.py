"""Trains any system without labels and keeps it, for the other recipes to take by `--run`.

Data: VGGSound-AVEL40K, VALOR-32K or any other published set in its layout, or digits or synthetic
clips. Leaves `model.keras` (weights, codebook, both optimisers), `history.json` and the curves of
the loss (Figure 9).

    python -m recipes pretrain --data vggsound --root FOLDER --model fcid --preset paper --epochs 5
    python -m recipes pretrain --data digits --root FOLDER --model fcid

A minute or two on one core for digits; the preset "paper" needs a GPU. What the loss should reach
hangs on system and data; codes in use and their agreement across modalities should grow.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from recipes.experiments import loss_curves
from recipes.protocol import clips
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training


@dataclasses.dataclass
class Settings(Training):
    """Settings of a training without labels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, training.PUBLISHED)
    training.add_arguments(parser)


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    chosen = training.settings_of(Settings(), options, {})
    if chosen.run is not None:
        raise ValueError("--run must be left out: this recipe makes a run")
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Trains one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    made = pretraining.train_new(chosen, source, options.seed)
    pretraining.save(made, out)
    result = {
        **provenance.about(options, chosen),
        **made.about,
        "protocol": chosen.protocol,
        "loss_terms": made.model.loss_names,
        "features": source.identity(),
    }
    provenance.write_json(out / RESULT, result)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table and the curves.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table, to be printed.
    """
    return loss_curves.publish(runs, out, "Training without labels")
