"""Trains a model without labels, and keeps it for `keras-cmg recipe NAME --run` and for export.

    keras-cmg train --data digits --root FOLDER
    keras-cmg train --data vggsound --root FOLDER --preset paper --epochs 5

The folder of --out gets model.keras, history.json, result.json, and a report with curves of the
loss.
"""

from __future__ import annotations

import argparse

from recipes.experiments import pretrain
from recipes.runner.command_line import INTERRUPTED, run_recipe
from recipes.runner.options import add_options

__all__ = ["INTERRUPTED", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the recipe `pretrain`.

    Args:
        parser: parser of the subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args([]).out
    'runs/train'
    """
    add_options(parser, "train", pretrain.OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    arguments.result.update(run_recipe("pretrain", pretrain, arguments, arguments.command))
    return 0
