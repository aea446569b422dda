"""Trains on a folder of your clips, measures what was learned, and indexes the clips.

    keras-cmg train --clips FOLDER
    keras-cmg train --clips FOLDER --networks NETWORKS --out runs/clips
    keras-cmg train --data digits --root FOLDER

FOLDER holds sounds/CLASS/*, pictures/CLASS/* and captions/CLASS.txt, or a table files.csv of
file,class,group; or clips whose files have one name, such as a.mp4, or b.wav and b.png; or it is a
CSV manifest. NETWORKS holds yamnet.tflite and efficientnet_lite0.onnx; without them, features come
from extractors that need no network. The same command goes on where it was stopped.

`keras-cmg search` and `keras-cmg serve` use the folder of --out. `keras-cmg recipe pretrain` trains
on published data sets.
"""

from __future__ import annotations

import argparse

from recipes.experiments import train
from recipes.runner.command_line import INTERRUPTED, run_recipe
from recipes.runner.options import add_options

__all__ = ["INTERRUPTED", "add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the recipe `train`.

    Args:
        parser: parser of the subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["--clips", "clips"]).out
    'runs/train'
    """
    add_options(parser, "train", train.OPTIONS)


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    arguments.result.update(run_recipe("train", train, arguments, arguments.command))
    return 0
