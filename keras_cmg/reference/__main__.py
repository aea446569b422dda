"""Converts the authors' weights to Keras models, and Keras models to the authors' names."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_cmg.reference.convert import export_state, import_state
from keras_cmg.reference.files import read_state
from keras_cmg.reference.sizes import MAP_SIZE


def main(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: list of str, words after the program's name; default those of the command line.

    Returns:
        Exit status: 0, or 1 if a file is refused.

    Example:

    >>> main(["convert", "missing.npz", "model.keras"])
    1
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m keras_cmg.reference", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(required=True)
    convert = commands.add_parser("convert", help="authors' weights to a Keras model")
    convert.add_argument("source", help="a .pt or .npz file")
    convert.add_argument("target", help="a .keras file to write")
    convert.add_argument(
        "--map-size", type=int, nargs=2, default=MAP_SIZE, metavar=("HEIGHT", "WIDTH"),
        help="of video feature maps, which the weights do not determine",
    )  # fmt: skip
    convert.set_defaults(command=_convert)
    export = commands.add_parser("export", help="a Keras model to the authors' names")
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
    if not Path(options.source).is_file():
        raise FileNotFoundError(f"There is no file {options.source}.")
    state = export_state(keras.saving.load_model(options.source, compile=False))
    _write(Path(options.target), ".npz", lambda path: np.savez(path, allow_pickle=False, **state))
    print(f"{len(state)} tensors written to {options.target}")
    return 0


def _write(target: Path, suffix: str, save) -> None:
    """Saves under a temporary name in the same folder, then renames: nothing half-written stays."""
    if target.suffix != suffix:
        raise ValueError(f"The file to write must end in {suffix}. Received: {target}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {target.parent}.")
    handle, name = tempfile.mkstemp(suffix=suffix, dir=target.parent)
    os.close(handle)
    try:
        save(name)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
