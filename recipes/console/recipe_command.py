"""The functions of subcommands that run one recipe under a name of their own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from types import ModuleType

from recipes.runner.command_line import run_recipe
from recipes.runner.options import add_options


def recipe_command(
    name: str, recipe_name: str, recipe: ModuleType
) -> tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]:
    """Returns `add_arguments` and `run` of a subcommand.

    Args:
        name: name of the subcommand; its default output folder is `runs/NAME`.
        recipe_name: name of the recipe.
        recipe: its module.

    Returns:
        Two functions, see `recipes.console.main`.

    Example:

    >>> from recipes.experiments import quickstart
    >>> add_arguments, run = recipe_command("demo", "quickstart", quickstart)
    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args([]).out
    'runs/demo'
    """

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_options(parser, name, recipe.OPTIONS)

    def run(arguments: argparse.Namespace) -> int:
        found = run_recipe(recipe_name, recipe, arguments, arguments.command)
        arguments.result.update(found)
        return 0

    return add_arguments, run
