"""Report of recipes that leave histories of training: the terms of the loss by epoch (Figure 9)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras_cmg
from recipes.reporting import report_writer
from recipes.reporting.codebook_sections import CODEBOOK_LOGS, curves_by_epoch, described
from recipes.reporting.page import Gallery, Section, Text
from recipes.reporting.tables import over_seeds
from recipes.runner.seed_runs import Run
from recipes.training.trained_encoders import HISTORY, read_history

COLUMNS = {"first epoch": (0, ""), "last epoch": (-1, ""), "validation, last": (-1, "val_")}
"""Column to epoch and prefix of the log key."""


def publish_training(runs: Sequence[Run], out: Path, title: str) -> str:
    """Writes the table and the curves of training, and a picture `loss_*.png` per term.

    Args:
        runs: finished seeds, each with a history.
        out: folder to write into.
        title: title of the page.

    Returns:
        The table, to be printed.
    """
    histories = {f"seed {run.result['seed']}": read_history(run.folder / HISTORY) for run in runs}
    first = next(iter(histories.values()))
    keys = ["loss", *runs[0].result["loss_terms"]]
    keys += [key for key in CODEBOOK_LOGS if key in first]
    pictures = curves_by_epoch(histories, keys)
    for key, content in pictures.items():
        (out / f"loss_{key}.png").write_bytes(content)
    measured = {
        key.replace("_", " "): {
            heading: [history[prefix + key][epoch] for history in histories.values()]
            for heading, (epoch, prefix) in COLUMNS.items()
            if prefix + key in first
        }
        for key in keys
    }
    settings = runs[0].result["settings"]
    name = keras_cmg.models.get_model_class(settings["model"]).__name__
    table = over_seeds(f"Training of {name}", "term", measured, digits=3)
    explained = Text("A line per seed; dashed: validation clips.", soft=True)
    section = Section("By epoch", [Gallery(described(pictures)), explained])
    abouts = [run.result["encoder"] for run in runs]
    seconds = ", ".join(f"{a['train_seconds']:.0f}" for a in abouts if "train_seconds" in a)
    method = f"{name}, preset {settings['preset']}, {settings['epochs']} epochs without labels. "
    method += f"Training took {seconds} seconds."
    return report_writer.publish(out, title, runs, [table], [section], method)
