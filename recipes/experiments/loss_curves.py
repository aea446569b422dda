"""Draws the terms of the loss by epoch, of one seed or of several in one plot (Figure 9).

Data: the history of a finished run of `pretrain` or `quickstart`, or of a training done now. Leaves
a picture per term, `loss_*.png`, and all of them on a page.

    python -m recipes loss_curves --run RUN --data vggsound --root FOLDER
    python -m recipes loss_curves --data digits --root FOLDER --seeds 3

A minute or two on one core for digits. Expected: every term falls or levels off, none explodes.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras_cmg
from recipes.protocol import clips
from recipes.reporting import charts, tables
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import HISTORY, Training


@dataclasses.dataclass
class Settings(Training):
    """Settings of the training whose history is drawn."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, training.PUBLISHED)
    training.add_arguments(parser)


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    return training.settings_of(Settings(), options, {})


def run(options: argparse.Namespace, out: Path) -> None:
    """Takes the history of one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    made = pretraining.pretrained(options, chosen, source, options.seed)
    provenance.write_json(out / HISTORY, made.history)
    result = {
        **provenance.about(options, chosen),
        **made.about,
        "protocol": chosen.protocol,
        "seed": options.seed,
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
    return publish(runs, out, "The loss and its terms")


def publish(runs: Sequence[Run], out: Path, title: str) -> str:
    """Writes the table and the curves of any recipe that leaves histories.

    Args:
        runs: finished seeds.
        out: folder to write into.
        title: of the page.

    Returns:
        The table.
    """
    histories = {f"seed {run.result['seed']}": run.json(HISTORY) for run in runs}
    first = next(iter(histories.values()))
    keys = ["loss", *runs[0].result["loss_terms"]]
    codes = [key for key in ("perplexity", "code_usage", "code_agreement") if key in first]
    pictures = {}
    for key in [*keys, *codes]:
        series = {}
        for name, history in histories.items():
            series[name] = history[key]
            series[f"{name}, validation"] = history.get(f"val_{key}", [])
        address = charts.lines(key.replace("_", " "), series)
        charts.write(out / f"loss_{key}.png", address)
        pictures[f"{key.replace('_', ' ')} by epoch"] = address
    columns = {"first epoch": (0, ""), "last epoch": (-1, ""), "validation, last": (-1, "val_")}
    measured = {
        key.replace("_", " "): {
            heading: [history[prefix + key][epoch] for history in histories.values()]
            for heading, (epoch, prefix) in columns.items()
            if prefix + key in first
        }
        for key in [*keys, *codes]
    }
    settings = runs[0].result["settings"]
    name = keras_cmg.models.get_model_class(settings["system"]).__name__
    table = tables.over_seeds(f"Training of {name}", "term", measured, digits=3)
    section = pages.section(
        "By epoch",
        pages.gallery(pictures),
        '<p class="soft">A line per seed; dashed: validation clips.</p>',
    )
    seconds = [run.result["train_seconds"] for run in runs if "train_seconds" in run.result]
    method = f"{name}, preset {settings['preset']}, {settings['epochs']} epochs without labels. "
    method += f"Training took {', '.join(f'{value:.0f}' for value in seconds)} seconds."
    return publishing.publish(out, title, runs, [table], [section], method)
