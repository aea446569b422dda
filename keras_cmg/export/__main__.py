"""Exports a trained run for serving: SavedModel, ONNX or LiteRT."""

from __future__ import annotations

import argparse
import os
import sys

from keras_cmg.export import command
from keras_cmg.faults import run_command


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: list of str, words after the program's name; default those of the command line.

    Returns:
        Exit code, see `keras_cmg.faults.run_command`.

    Example:

    >>> main(["no-such-run", "--to", "served"])
    2
    """
    parser = argparse.ArgumentParser(prog="python -m keras_cmg.export", description=__doc__)
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    # TensorFlow reads this once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    def run() -> int:
        command.run(options)
        return 0

    return run_command(run, options.debug)


if __name__ == "__main__":
    sys.exit(main())
