"""Recomputes files of recorded numbers, and reports every deviation beyond rounding."""

from __future__ import annotations

import argparse
import sys

import keras

from tests.golden.comparison import report
from tests.golden.verify import deviations


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: list of str, words after the program's name; default those of the command line.

    Returns:
        Exit status: 0, or 1 if a file is refused or a number deviates beyond its tolerance.

    Example:

    >>> main(["missing.npz"])
    1
    """
    options = _parser().parse_args(arguments)
    before = keras.config.floatx()
    keras.config.set_floatx(options.dtype)
    try:
        statuses = [_verify(path, options.start) for path in options.files]
    finally:
        keras.config.set_floatx(before)
    return max(statuses)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.golden", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="an .npz file of recorded numbers")
    parser.add_argument("--start", help="for steps of training: the FCID file they start from")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32",
        help="floating-point type; float64 is exact on TensorFlow only",
    )  # fmt: skip
    return parser


def _verify(path: str, start: str | None) -> int:
    try:
        found = deviations(path, start)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    beyond = sum(not one.within for one in found)
    print("\n".join(report(found)))
    print(f"{path}: {len(found)} arrays, {beyond} beyond tolerance, on {keras.backend.backend()}")
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main())
