"""AVVP: a probe learns which events are when, in one modality, and is tested on another (Table 1).

Data: AVVP (LLP, 25 classes) in the published layout, the lists and event files with features in
`audio` and `video`, one zip per clip; or digits or synthetic clips. Metric: F1 over all seconds and
classes as the published code counts it, and the literature's segment and event F1.

    python -m recipes avvp --data avvp --root FOLDER --run RUN      # RUN of `pretrain`
    python -m recipes avvp --data digits --root FOLDER --seeds 3    # trains its own encoder

Without a run it trains the encoder on the training clips, a minute or two on one core for digits.
Published, FCID: 42.4 and 44.5, with TOC 43.6 and 45.1. Expected on digits: see docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recipes.experiments import generalisation
from recipes.experiments.generalisation import Settings, settings_of
from recipes.protocol.tasks import TASKS
from recipes.runner.seeds import Run

TASK = TASKS["avvp"]
__all__ = ["Settings", "add_arguments", "report", "run", "settings_of"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    generalisation.add_arguments(parser, TASK)


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs the recipe on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    generalisation.run(options, out, TASK)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    return generalisation.publish(runs, out, TASK)
