"""Writes the report of a finished run again, from its result.json, and prints its tables.

keras-cmg report runs/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path

from recipes.runner.command_line import list_files, load_recipe
from recipes.runner.seed_runs import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand.

    Args:
        parser: its parser.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["runs/demo"]).run
    'runs/demo'
    """
    parser.add_argument("run", help="folder of a finished run of any recipe")


def run(arguments: argparse.Namespace) -> int:
    """Writes the report.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if the folder holds no finished run.
        ValueError: if its result is damaged.
    """
    folder = Path(arguments.run)
    print(write_report(folder, load_recipe))
    arguments.result.update(list_files(folder))
    return 0
