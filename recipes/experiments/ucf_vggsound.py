"""UCF-101 and VGGSound: learn on clips that are seen, be tested on others that are heard (Table 1).

Data: UCF-101 and VGGSound, 16 paired classes of which 14 have clips on both sides, in the published
layout; or digits or synthetic clips, half of them seen and the other half heard. Metric: precision,
the share of clips whose class is told.

    python -m recipes ucf_vggsound --data ucf_vggsound --root FOLDER --run RUN  # RUN of `pretrain`
    python -m recipes ucf_vggsound --data digits --root FOLDER --seeds 3

The published data need a run: nothing can be learned across modalities from unpaired clips.
Published, FCID: 69.4 and 61.6, with TOC 69.6 and 62.0. Expected on digits: see docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from recipes.experiments import generalisation
from recipes.experiments.generalisation import Settings, settings_of
from recipes.protocol.tasks import TASKS
from recipes.runner.seeds import Run

TASK = TASKS["ucf_vggsound"]
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
