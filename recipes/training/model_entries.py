"""Entries of `--models`: a model, or a model and a preset, `MODEL[:PRESET]`."""

from __future__ import annotations

from collections.abc import Sequence

import keras_cmg
from recipes.runner.options import model_names
from recipes.runner.settings import Settings, check_preset

BESIDE_DEFAULT = ("disentangled", "small", "paper_small")
"""Presets that are compared beside the default one, where a model has them."""


def all_entries() -> tuple[str, ...]:
    """Returns an entry for every model of several modalities, and for the presets compared.

    Example:

    >>> "dcid" in all_entries() and "fcid:small" in all_entries()
    True
    """
    return tuple(
        entry_of(name, preset)
        for name in model_names()
        for preset in dict.fromkeys(
            (keras_cmg.models.get_model_class(name).default_preset, *BESIDE_DEFAULT)
        )
        if preset in keras_cmg.models.get_model_class(name).presets
    )


def entry_of(model: str, preset: str) -> str:
    """Returns the entry of a model and a preset; the default preset is left out.

    Args:
        model: name of the model.
        preset: name of the preset.

    Example:

    >>> entry_of("fcid", "plus"), entry_of("fcid", "small"), entry_of("dcid", "small")
    ('fcid', 'fcid:small', 'dcid')
    """
    default = keras_cmg.models.get_model_class(model).default_preset
    return model if preset == default else f"{model}:{preset}"


def parts(entry: str, preset: str | None = None) -> tuple[str, str]:
    """Returns the model and the preset of an entry.

    Args:
        entry: "model" or "model:preset".
        preset: preset of an entry without one; the model's default if None.

    Example:

    >>> parts("fcid"), parts("fcid:small"), parts("dcid", "paper")
    (('fcid', 'plus'), ('fcid', 'small'), ('dcid', 'paper'))
    """
    model, _, named = entry.partition(":")
    return model, named or preset or keras_cmg.models.get_model_class(model).default_preset


def checked_entries(entries: Sequence[str], preset: str | None = None) -> tuple[str, ...]:
    """Returns entries in their shortest form, each once.

    Args:
        entries: each "model" or "model:preset".
        preset: preset of entries without one; the model's default if None.

    Raises:
        ValueError: if a model or a preset is unknown.

    Example:

    >>> checked_entries(("fcid:plus", "fcid", "dcid:small"))
    ('fcid', 'dcid')
    """
    found = []
    for entry in entries:
        name = entry.partition(":")[0]
        if name not in model_names():
            raise ValueError(f"--models must be of {', '.join(model_names())}. Received: {entry!r}")
        check_preset(*parts(entry, preset))
        found.append(entry_of(*parts(entry, preset)))
    return tuple(dict.fromkeys(found))


def of_entry(settings: Settings, entry: str) -> Settings:
    """Returns settings with the model and the preset of an entry.

    Args:
        settings: any settings.
        entry: "model" or "model:preset".

    Example:

    >>> of_entry(Settings(epochs=3), "fcid:small")
    Settings(epochs=3, model='fcid', preset='small')
    """
    model, preset = parts(entry)
    return settings.replace(model=model, preset=preset)


def class_name(entry: str) -> str:
    """Returns the name of a model's class, with a preset that is not the default one.

    Args:
        entry: "model" or "model:preset".

    Example:

    >>> class_name("fcid"), class_name("fcid:small")
    ('FCID', 'FCID small')
    """
    model, _, preset = entry.partition(":")
    name = keras_cmg.models.get_model_class(model).__name__
    return f"{name} {preset}" if preset else name
