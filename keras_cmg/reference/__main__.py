"""Converts the authors' weights to Keras models, and Keras models to the authors' names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from keras_cmg.faults import run_command
from keras_cmg.files import atomic_file
from keras_cmg.reference.convert import export_state, import_state
from keras_cmg.reference.files import read_state
from keras_cmg.reference.sizes import MAP_SIZE
from keras_cmg.saved_models import load_model


def main(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: list of str, words after the program's name; default those of the command line.

    Returns:
        Exit code, see `keras_cmg.faults.run_command`.

    Example:

    >>> main(["convert", "missing.npz", "model.keras"])
    2
    """
    options = _parser().parse_args(arguments)
    return run_command(lambda: options.command(options), options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keras_cmg.reference", description=(__doc__ or "").splitlines()[0]
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True)
    convert = commands.add_parser(
        "convert", parents=[common], help="the authors' weights to a model"
    )
    convert.add_argument("source", help="a .pt or .npz file")
    convert.add_argument("target", help="a .keras file to write")
    convert.add_argument(
        "--map-size", type=int, nargs=2, default=MAP_SIZE, metavar=("HEIGHT", "WIDTH"),
        help="of video feature maps, which the weights do not determine",
    )  # fmt: skip
    convert.set_defaults(command=_convert)
    export = commands.add_parser("export", parents=[common], help="a model to the authors' names")
    export.add_argument("source", help="a .keras file")
    export.add_argument("target", help="an .npz file to write")
    export.set_defaults(command=_export)
    return parser


def _convert(options) -> int:
    model, summary = import_state(read_state(options.source), tuple(options.map_size))
    _write(Path(options.target), ".keras", model.save)
    print(f"{type(model).__name__} written to {options.target}")
    print(summary)
    return 0


def _export(options) -> int:
    state = export_state(load_model(options.source))
    _write(Path(options.target), ".npz", lambda path: np.savez(path, allow_pickle=False, **state))
    print(f"{len(state)} tensors written to {options.target}")
    return 0


def _write(target: Path, suffix: str, save) -> None:
    """Saves under a temporary name in the same folder, then renames: nothing half-written stays."""
    if target.suffix != suffix:
        raise ValueError(f"The file to write must end in {suffix}. Received: {target}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent}.")
    with atomic_file(target) as temporary:
        save(temporary)


if __name__ == "__main__":
    sys.exit(main())
