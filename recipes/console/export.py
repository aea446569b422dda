"""Exports a trained run for serving: SavedModel, ONNX or LiteRT.

    keras-cmg export runs/demo --to served
    keras-cmg export runs/demo --to served_onnx --format onnx

See docs/serving.md for the signatures.
"""

from __future__ import annotations

import argparse

from keras_cmg.export import command

add_arguments = command.add_arguments


def run(arguments: argparse.Namespace) -> int:
    """Runs the export.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if there is no such run.
        ValueError: if an argument is wrong, or the folder exists.
    """
    arguments.result.update(command.run(arguments))
    return 0
