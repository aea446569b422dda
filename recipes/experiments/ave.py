"""AVE: a probe learns the event of clips in one modality and is tested on another (Table 1).

Data: AVE (28 classes) in the published layout, `Annotations.txt`, `*_order.h5`, `audio_feature.h5`
and `visual_feature.h5` in one folder; or digits or synthetic clips. Metric: precision, the share of
clips whose class is told.

    python -m recipes ave --data ave --root FOLDER --run RUN        # RUN of `pretrain`
    python -m recipes ave --data digits --root FOLDER --seeds 3     # trains its own encoder

Without a run it trains the encoder on the training clips, a minute or two on one core for digits.
Published, FCID: 55.2 and 54.9, with TOC 55.9 and 55.0. Expected on digits: see docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recipes.experiments import generalisation
from recipes.experiments.generalisation import Settings, settings_of
from recipes.protocol.tasks import TASKS
from recipes.runner.seeds import Run

TASK = TASKS["ave"]
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
