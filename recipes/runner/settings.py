"""Settings of a run, resolved once: defaults, data set, `--smoke`, finished run, options given."""

from __future__ import annotations

import argparse
import inspect
import json
import types
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.arguments import parse_options
from data_tools.io.files import read_record, reading
from keras_cmg.models.base.presets import merged
from recipes.runner.options import CATALOGUE, COMMON, SMOKE, SPLITS, RecipeOptions
from recipes.runner.output_folder import RESULT

MODEL = "model.keras"
FROM_RUN = ("model", "preset", "epochs", "batch_size", "learning_rate", "schedule", "set")
"""Settings that come with a finished run."""
FORMS = {
    **{"model?": (str, None), "preset?": (str, None), "epochs?": (int, None)},
    **{"batch_size?": (int, None), "learning_rate?": (float, None), "schedule?": (str, None)},
    **{"set?": (dict, None), "num_clips?": ({str: int}, None), "split?": (str, None)},
    **{"option?": (dict, None), "data?": (str, None)},
}
"""Form of the settings that are read of a finished run."""


class Settings(types.SimpleNamespace):
    """Values by name; a model's name, epochs and so on.

    Example:

    >>> settings = Settings(epochs=3)
    >>> settings.replace(epochs=4).epochs, settings.epochs
    (4, 3)
    """

    def replace(self, **changes: Any) -> Settings:
        """Returns a copy with other values.

        Args:
            changes: name to value.
        """
        return type(self)(**{**vars(self), **changes})


def resolve(
    options: RecipeOptions, given: argparse.Namespace, seed: int = 0
) -> tuple[Settings, Settings]:
    """Resolves the command line of a recipe; later values replace earlier ones.

    The order: catalogue, recipe, data set, `--smoke`, the finished run named by `--run`, options
    given.

    Args:
        options: the recipe's options.
        given: parsed command line; options that were not given are None.
        seed: seed whose finished run is read.

    Returns:
        Settings, which decide what is measured, and resources: folders, devices, workers.

    Raises:
        FileNotFoundError: if the finished run does not exist.
        ValueError: if a value is not allowed, or contradicts the finished run.

    Example:

    >>> options = RecipeOptions(("epochs", "batch_size"), smoke={"epochs": 2})
    >>> settings, _ = resolve(options, argparse.Namespace(smoke=True, epochs=None, batch_size=3))
    >>> settings.epochs, settings.batch_size
    (2, 3)
    """
    words = {name: value for name, value in vars(given).items() if value is not None}
    names = dict.fromkeys((*options.names, *options.defaults))
    values = {name: options.default(name) for name in names}
    check_together(options, words)
    if words.get("run") is not None and "data" in values and "data" not in words:
        found = _data_of_run(words["run"], seed, options.data or ())
        values["data"] = found or values["data"]
    data = words.get("data", values.get("data"))
    values |= options.by_data.get(str(data), {})
    if words.get("smoke"):
        smoke = {**SMOKE, **options.smoke}
        values |= {name: value for name, value in smoke.items() if name in values}
    if words.get("run") is not None:
        values |= _values_of_run(words, values, seed)
    values |= {name: _converted(name, value) for name, value in words.items() if name in values}
    for name in ("set", "option"):
        if name in values:
            values[name] = values[name] or {}
    for name, value in values.items():
        check_range(name, value)
    if "devices" in values:
        check_devices(values["devices"], values.get("batch_size"))
    if "model" in values and values.get("preset") is None:
        import keras_cmg

        values["preset"] = keras_cmg.models.get_model_class(values["model"]).default_preset
    if "model" in values:
        check_preset(values["model"], values["preset"])
    settings = {name: value for name, value in values.items() if CATALOGUE[name].setting}
    resources = {name: value for name, value in values.items() if not CATALOGUE[name].setting}
    common = {name: words.get(name, CATALOGUE[name].default) for name in COMMON}
    return Settings(**settings), Settings(**common, **resources)


def resolve_seeds(given: argparse.Namespace) -> tuple[int, int]:
    """Returns the first seed and the number of seeds of a command line.

    Args:
        given: parsed command line.

    Raises:
        ValueError: if the first seed is negative, or there is none.

    Example:

    >>> resolve_seeds(argparse.Namespace(seed=3, seeds=None))
    (3, 1)
    """
    found = []
    for name in ("seed", "seeds"):
        value = getattr(given, name, None)
        found.append(CATALOGUE[name].default if value is None else value)
        check_range(name, found[-1])
    return found[0], found[1]


def check_range(name: str, value: Any) -> None:
    """Checks a value against the range in the catalogue.

    Args:
        name: name in the catalogue.
        value: a number, a sequence or a dict of numbers; anything else passes.

    Raises:
        ValueError: if a number lies outside the range.

    Example:

    >>> check_range("batch_size", 0)
    Traceback (most recent call last):
    ...
    ValueError: --batch-size must be at least 1. Received: 0
    """
    option = CATALOGUE[name]
    numbers = value.values() if isinstance(value, Mapping) else value
    for number in numbers if isinstance(numbers, Sequence | type({}.values())) else (numbers,):
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        word = f"--{name.replace('_', '-')}"
        if option.minimum is not None and not number >= option.minimum:
            raise ValueError(f"{word} must be at least {option.minimum}. Received: {number}")
        if option.above is not None and not number > option.above:
            raise ValueError(f"{word} must be greater than {option.above}. Received: {number}")


def check_together(options: RecipeOptions, given: Container[str]) -> None:
    """Checks that no option was given that another one makes useless.

    Args:
        options: options of the recipe.
        given: names of the options that were given.

    Raises:
        ValueError: if options do not fit together.

    Example:

    >>> check_together(RecipeOptions(("clips", "root"), excludes={"clips": ("root",)}), ["root"])
    """
    for name, others in options.excludes.items():
        useless = [f"--{other.replace('_', '-')}" for other in others if other in given]
        if name in given and useless:
            raise ValueError(
                f"--{name} is read without {', '.join(useless)}: leave out one of them"
            )
    for name, other in options.requires.items():
        if name in given and other not in given:
            raise ValueError(f"--{name} must come with --{other}.")


def check_devices(devices: str, batch_size: int | None) -> None:
    """Checks the form of `--devices`, and that they share a batch evenly.

    Args:
        devices: "auto" or a number.
        batch_size: clips per step.

    Raises:
        ValueError: if it is not a number, or does not divide the batch.

    Example:

    >>> check_devices("3", 80)
    Traceback (most recent call last):
    ...
    ValueError: --batch-size must be a multiple of --devices. Received: 80 clips for 3 devices
    """
    if devices == "auto":
        return
    if not (devices.isdecimal() and int(devices)):
        raise ValueError(f"--devices must be 'auto' or at least 1. Received: {devices}")
    if batch_size is not None and batch_size % int(devices):
        raise ValueError(
            f"--batch-size must be a multiple of --devices. Received: {batch_size} clips for "
            f"{devices} devices"
        )


def check_preset(model: str, preset: str | None) -> None:
    """Checks that a model has a preset.

    Args:
        model: name of the model.
        preset: name of the preset; None for the default one.

    Raises:
        ValueError: if the model or the preset is unknown.

    Example:

    >>> check_preset("dcid", "plus")
    Traceback (most recent call last):
    ...
    ValueError: --preset of dcid must be one of ['paper', 'reference', 'small']. Received: 'plus'
    """
    import keras_cmg

    presets = keras_cmg.models.get_model_class(model).presets
    if preset is not None and preset not in presets:
        raise ValueError(
            f"--preset of {model} must be one of {sorted(presets)}. Received: {preset!r}"
        )


def nested(assignments: Sequence[str]) -> dict[str, Any]:
    """Converts `--set` options to nested arguments of a model.

    Args:
        assignments: each `NAME=VALUE`, dots for nesting; values are JSON or plain words.

    Returns:
        Nested dict.

    Raises:
        ValueError: if an assignment has no name or no `=`.

    Example:

        >>> nested(["coarse_club_weight=1", "backbone.map_general.pooling=sum"])
        {'coarse_club_weight': 1, 'backbone': {'map_general': {'pooling': 'sum'}}}
    """
    arguments: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, word = assignment.partition("=")
        if not equals or not path:
            raise ValueError(f"--set must be NAME=VALUE. Received: {assignment!r}")
        try:
            value = json.loads(word)
        except json.JSONDecodeError:
            value = word
        for name in reversed(path.split(".")):
            value = {name: value}
        arguments = merged(arguments, value)
    return arguments


def run_folder(run: str, seed: int) -> Path:
    """Returns the folder of a finished run that holds the model: of the same seed if it has many.

    Args:
        run: value of `--run`.
        seed: seed that is wanted.

    Raises:
        FileNotFoundError: if there is no model.
    """
    for folder in (Path(run) / f"seed{seed}", Path(run)):
        if (folder / MODEL).is_file():
            return folder
    raise FileNotFoundError(f"--run must hold {MODEL} or seed{seed}/{MODEL}. Received: {run}")


def _converted(name: str, value: Any) -> Any:
    """A value as settings hold it."""
    if name == "set":
        return nested(value)
    if name == "option":
        import data_tools

        return parse_options(value, inspect.signature(data_tools.prepare).parameters)
    if name in ("num_clips", "num_images"):
        return dict(zip(SPLITS, value, strict=True))
    return tuple(value) if isinstance(value, list) else value


def _data_of_run(run: str, seed: int, known: Sequence[str]) -> str | None:
    """The data set of the finished run, None where it says none."""
    path = run_folder(run, seed) / RESULT
    data = read_record(path, {"settings": FORMS})["settings"].get("data")
    if data is not None and data not in known:
        raise ValueError(
            f"--run was trained on data that this recipe does not read; name other data by --data, "
            f"of {', '.join(known)}. Received: {run}, of {data}"
        )
    return data


def _values_of_run(words: Mapping[str, Any], values: Mapping[str, Any], seed: int) -> dict:
    """Settings that come with the finished run."""
    given = [f"--{name.replace('_', '-')}" for name in FROM_RUN if name in words]
    if given:
        raise ValueError(f"--run brings its own settings; leave out {', '.join(given)}")
    path = run_folder(words["run"], seed) / RESULT
    theirs = read_record(path, {"settings": FORMS})["settings"]
    found = {name: theirs[name] for name in FROM_RUN if name in theirs and name in values}
    if theirs.get("data") == words.get("data", values.get("data")):
        prepared = ("num_clips", "split", "option")
        found |= {name: theirs[name] for name in prepared if name in theirs and name in values}
    with reading(path, "have settings of this version"):
        for name, value in found.items():
            check_range(name, value)
        if found.get("model") is not None:
            check_preset(found["model"], found.get("preset"))
    return found
