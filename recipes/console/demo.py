"""Trains FCID without labels, probes its codes across modalities, and writes a report.

On rendered shapes, sounds and captions, or with --data digits on recorded and handwritten digits:

    keras-cmg demo
    keras-cmg demo --data digits --root FOLDER --out runs/digits

The folder of --out gets report.html, table.md, result.json, history.json, model.keras, a probe of
each modality and labels.txt.
"""

from __future__ import annotations

import argparse

from recipes.experiments import quickstart
from recipes.runner.command_line import INTERRUPTED, run_recipe
from recipes.runner.options import add_options

__all__ = ["INTERRUPTED", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the recipe `quickstart`.

    Args:
        parser: parser of the subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args([]).out
    'runs/demo'
    """
    add_options(parser, "demo", quickstart.OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    arguments.result.update(run_recipe("quickstart", quickstart, arguments, arguments.command))
    return 0
