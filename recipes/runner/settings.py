"""Settings of a recipe: defaults, then those of `--smoke`, then the options that were given."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

S = TypeVar("S")


def resolve(settings: S, options: argparse.Namespace, smoke: Mapping[str, Any]) -> S:
    """Settings of a run; what comes last counts.

    Args:
        settings: a dataclass of defaults.
        options: of the command line; an option that was not given is None.
        smoke: fields that `--smoke` sets.

    Returns:
        A new dataclass.

    Example:

    >>> Settings = dataclasses.make_dataclass("Settings", ["epochs", "batch_size"])
    >>> resolve(Settings(9, 80), argparse.Namespace(smoke=True, epochs=3), {"batch_size": 8})
    Settings(epochs=3, batch_size=8)
    """
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    given = {name: getattr(options, name, None) for name in names}
    changes = {
        **(smoke if options.smoke else {}),
        **{name: value for name, value in given.items() if value is not None},
    }
    return dataclasses.replace(settings, **changes)  # type: ignore[type-var]


def check_positive(settings: Any, names: Sequence[str]) -> None:
    """Refuses settings that are not above zero.

    Args:
        settings: a dataclass.
        names: of the fields to check.

    Raises:
        ValueError: naming the option.

    Example:

    >>> Settings = dataclasses.make_dataclass("Settings", ["batch_size"])
    >>> check_positive(Settings(0), ["batch_size"])
    Traceback (most recent call last):
    ...
    ValueError: --batch-size must be positive; received: 0
    """
    for name in names:
        if not getattr(settings, name) > 0:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must be positive; received: {getattr(settings, name)}")
