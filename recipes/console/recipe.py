"""Runs an experiment; its result and its report go to a folder.

keras-cmg recipe list
keras-cmg recipe table1 --task ave --data digits --root FOLDER
"""

from __future__ import annotations

import argparse

from recipes.runner import command_line

INTERRUPTED = command_line.INTERRUPTED
PROGRAM = "keras-cmg recipe"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the name of the recipe and what follows it.

    Args:
        parser: parser of the subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["table1", "--smoke"]).options
    ['--smoke']
    """
    command_line.add_arguments(parser)
    parser.epilog = f"recipes:\n{command_line.listing()}\n\n{parser.epilog or ''}".rstrip()


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    name = arguments.recipe
    if name == command_line.LIST:
        print(command_line.listing())
        arguments.result["recipes"] = list(command_line.RECIPES)
        return 0
    recipe = command_line.load_recipe(name)
    given = command_line.recipe_parser(name, recipe, PROGRAM).parse_args(arguments.options)
    found = command_line.run_recipe(name, recipe, given, arguments.command)
    arguments.result.update(found)
    return 0
