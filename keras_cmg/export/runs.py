"""What a command names: the folder of a recipe's run, or a saved model, with its origin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from keras_cmg.files import read_json

MODEL, RESULT = "model.keras", "result.json"
ORIGIN = ("recipe", "settings", "seed", "command", "date", "versions")
"""What is taken over from a run's result into the metadata."""


def load_run(path: str | os.PathLike[str]) -> tuple[keras.Model, dict[str, Any]]:
    """The trained model of a run, and where it comes from.

    Args:
        path: folder of a recipe's run, with `model.keras` and `result.json`; or a `.keras` file.

    Returns:
        The model, not compiled, and a dict: `recipe`, `settings`, `seed`, `command`, `date` and
        `versions` of the run; empty for a file alone.

    Raises:
        FileNotFoundError: if there is no model at `path`.
        ValueError: if the file is not a saved model.

    Example:

    >>> load_run("no-such-run")
    Traceback (most recent call last):
        ...
    FileNotFoundError: no-such-run is neither a run with model.keras in it nor a .keras file.
    """
    path = Path(path)
    file = path / MODEL if path.is_dir() else path
    if file.suffix != ".keras" or not file.is_file():
        raise FileNotFoundError(f"{path} is neither a run with {MODEL} in it nor a .keras file.")
    try:
        model = keras.saving.load_model(file, compile=False)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{file} cannot be loaded: {error}") from error
    result = file.with_name(RESULT)
    origin = read_json(result) if path.is_dir() and result.is_file() else {}
    return model, {key: origin[key] for key in ORIGIN if key in origin}
