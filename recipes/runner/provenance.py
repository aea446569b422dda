"""What a result was made with: versions, checksums, seeds; and how it is written down."""

from __future__ import annotations

import argparse
import dataclasses
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
    """Versions of everything that may move a number.

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


def about(options: argparse.Namespace, settings: Any) -> dict[str, Any]:
    """What every result says of itself.

    Args:
        options: of the command line.
        settings: of the run, a dataclass.

    Returns:
        Dict of `recipe`, `seed`, `smoke`, `date`, `command`, `settings` and `versions`.

    Example:

    >>> Settings = dataclasses.make_dataclass("Settings", ["epochs"])
    >>> options = argparse.Namespace(recipe="quickstart", seed=0, smoke=True, command="python")
    >>> about(options, Settings(3))["settings"]
    {'epochs': 3}
    """
    return {
        "recipe": options.recipe,
        "seed": options.seed,
        "smoke": options.smoke,
        "date": datetime.date.today().isoformat(),
        "command": options.command,
        "settings": dataclasses.asdict(settings),
        "versions": versions(),
    }


def set_seed(seed: int) -> None:
    """Starts every draw of Keras from a seed, on any engine.

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
    """Writes a JSON file, whole or not at all.

    Args:
        path: the file.
        value: of dicts, lists, strings and numbers, NumPy's included.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.

    Example:

    >>> write_json(Path("score.json"), {"score": np.float32(0.5)})
    >>> Path("score.json").read_text()
    '{\\n  "score": 0.5\\n}\\n'
    """
    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def plain(value: Any, name: str = "value") -> Any:
    """A value in the types that JSON knows.

    Args:
        value: of dicts, sequences, strings, numbers, arrays, paths and None.
        name: how errors call it.

    Returns:
        The same with arrays as lists, keys as strings and tuples as lists.

    Raises:
        ValueError: a number is not finite; the message names where it stands.

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
        raise ValueError(f"`{name}` must be finite; received: {value}")
    return value
