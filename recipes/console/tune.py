"""Searches for hyperparameters of a model, and tests on fresh seeds whether they beat its preset.

    keras-cmg tune
    keras-cmg tune --model dcid --trials 20 --workers 4

A search that was stopped goes on when the same command is given again.
"""

from recipes.console.recipe_command import recipe_command
from recipes.experiments import tune

__all__ = ["INTERRUPTED", "add_arguments", "run"]

INTERRUPTED = "stopped; finished trials are kept: the same command goes on"
add_arguments, run = recipe_command("tune", "tune", tune)
