"""AVE to AVVP: a probe learns on AVE in one modality, and localises AVVP's events in another.

Table 1. Data: AVE and AVVP in the published layouts below one folder, with the files of their 12
shared classes; or digits or synthetic clips, whose long events stand in for AVE and short ones for
AVVP. Metric: as of `avvp`.

    python -m recipes ave_avvp --data ave_avvp --root FOLDER --run RUN      # RUN of `pretrain`
    python -m recipes ave_avvp --data digits --root FOLDER --seeds 3        # trains its own encoder

Without a run it trains the encoder on the training clips, a minute or two on one core for digits.
Published, FCID: 55.3 and 57.4, with TOC 57.4 and 58.5. Expected on digits: see docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recipes.experiments import generalisation
from recipes.experiments.generalisation import Settings, settings_of
from recipes.protocol.tasks import TASKS
from recipes.runner.seeds import Run

TASK = TASKS["ave_avvp"]
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
