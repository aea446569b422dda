"""Searches for hyperparameters of a model, and tests on fresh seeds whether they beat its preset.

    keras-cmg tune
    keras-cmg tune --model dcid --trials 20 --workers 4

A search that was stopped goes on when the same command is given again.
"""

from __future__ import annotations

import argparse

from recipes.experiments import tune
from recipes.runner.command_line import INTERRUPTED, run_recipe
from recipes.runner.options import add_options

__all__ = ["INTERRUPTED", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the recipe `tune`.

    Args:
        parser: parser of the subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args([]).out
    'runs/tune'
    """
    add_options(parser, "tune", tune.OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    arguments.result.update(run_recipe("tune", tune, arguments, arguments.command))
    return 0
