"""Provenance of results: versions, date, command, settings; and writing of JSON files."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import random
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_cmg
from data_tools.io.files import atomic_file


def versions() -> dict[str, str]:
    """Returns the versions of everything that may change a number.

    Returns:
        Name to version.

    Example:

    >>> versions()["keras_cmg"] == keras_cmg.__version__
    True
    """
    engine = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "keras": keras.__version__,
        "engine": engine,
        "engine_version": sys.modules[engine].__version__,
        "numpy": np.__version__,
        "keras_cmg": keras_cmg.__version__,
    }


def about(job: Any) -> dict[str, Any]:
    """Returns what every result records about its run.

    Args:
        job: a `recipes.runner.seed_runs.Job`.

    Returns:
        Dict of `recipe`, `seed`, `smoke`, `date`, `command`, `settings` and `versions`.

    Example:

    >>> from recipes.runner.seed_runs import Job
    >>> from recipes.runner.settings import Settings
    >>> about(Job("quickstart", "python", Settings(epochs=3), Settings(smoke=True), 0))["settings"]
    {'epochs': 3}
    """
    return {
        "recipe": job.recipe,
        "seed": job.seed,
        "smoke": bool(job.resources.smoke),
        "date": datetime.date.today().isoformat(),
        "command": job.command,
        "settings": dict(vars(job.settings)),
        "versions": versions(),
    }


def set_seed(seed: int) -> None:
    """Seeds every draw of Keras, on any engine.

    Keras takes default seeds from Python's generator. `keras.utils.set_random_seed` would also
    import TensorFlow wherever it is installed.

    Args:
        seed: at least 0.

    Example:

    >>> set_seed(1)
    >>> first = keras.layers.Dense(1, kernel_initializer="glorot_uniform").kernel_initializer.seed
    >>> set_seed(1)
    >>> first == keras.layers.Dense(1, kernel_initializer="glorot_uniform").kernel_initializer.seed
    True
    """
    keras.utils.clear_session()
    random.seed(seed)


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically.

    Args:
        path: the file.
        value: of dicts, lists, strings and numbers, NumPy's included.

    Raises:
        ValueError: if a number is not finite, which JSON cannot represent.

    Example:

    >>> write_json(Path("score.json"), {"score": np.float32(0.5)})
    >>> Path("score.json").read_text()
    '{\\n  "score": 0.5\\n}\\n'
    """
    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def plain(value: Any, name: str = "value") -> Any:
    """Converts a value to the types of JSON.

    Args:
        value: of dicts, sequences, strings, numbers, arrays, paths and None.
        name: name of the value in errors.

    Returns:
        The same with arrays as lists, keys as strings and tuples as lists.

    Raises:
        ValueError: if a number is not finite; the message names its place.

    Example:

    >>> plain({128: np.array([1, 2]), "path": Path("a")})
    {'128': [1, 2], 'path': 'a'}
    """
    if isinstance(value, dict):
        return {str(key): plain(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(entry, f"{name}[{i}]") for i, entry in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite. Received: {value}")
    return value
