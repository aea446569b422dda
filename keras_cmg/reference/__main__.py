"""Commands: convert the authors' weights, and verify an installation against recorded numbers."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_cmg.reference.comparison import report
from keras_cmg.reference.convert import export_state, import_state
from keras_cmg.reference.files import read_state
from keras_cmg.reference.sizes import MAP_SIZE
from keras_cmg.reference.verify import deviations


def main(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: words after the program's name; default those of the command line.

    Returns:
        Exit status: 0, or 1 where a file is refused or a number is beyond tolerance.

    Example:

    >>> main(["verify", "missing.npz"])
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
        help="of video feature maps, which the weights do not tell",
    )  # fmt: skip
    convert.set_defaults(command=_convert)
    export = commands.add_parser("export", help="a Keras model to the authors' names")
    export.add_argument("source", help="a .keras file")
    export.add_argument("target", help="an .npz file to write")
    export.set_defaults(command=_export)
    verify = commands.add_parser("verify", help="recompute a file of recorded numbers")
    verify.add_argument("file", help="an .npz file")
    verify.add_argument("--start", help="for steps of training: the FCID file they start from")
    verify.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32",
        help="float64 is exact on TensorFlow only",
    )  # fmt: skip
    verify.set_defaults(command=_verify)
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


def _verify(options) -> int:
    before = keras.config.floatx()
    keras.config.set_floatx(options.dtype)
    try:
        found = deviations(options.file, options.start)
    finally:
        keras.config.set_floatx(before)
    print("\n".join(report(found)))
    beyond = sum(not one.within for one in found)
    print(f"{len(found)} arrays, {beyond} beyond tolerance, on {keras.backend.backend()}")
    return int(beyond > 0)


if __name__ == "__main__":
    sys.exit(main())
