"""Checks of arguments, and options of a data set on the command line."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any


def check_choice(argument: str, value: str, choices: Sequence[str]) -> None:
    """Raises a ValueError unless an argument is one of its choices.

    Args:
        argument: name of the argument.
        value: its value.
        choices: allowed values.

    Raises:
        ValueError: if the value is not among the choices.

    Example:
        >>> check_choice("split", "dev", ("train", "val"))
        Traceback (most recent call last):
        ...
        ValueError: `split` must be one of ('train', 'val'). Received: 'dev'
    """
    if value not in choices:
        raise ValueError(f"`{argument}` must be one of {tuple(choices)}. Received: {value!r}")


def parse_options(words: Sequence[str], taken: Container[str] = ()) -> dict[str, bool | int | str]:
    """Parses the options of a data set from the command line.

    Args:
        words: options, each `name=value`.
        taken: names that are not options of a data set, such as arguments of `prepare`.

    Returns:
        Dict of the values: bool for "true" and "false", int for decimal numbers, else str.

    Raises:
        ValueError: if an option has no equals sign, or its name is taken.

    Example:
        >>> parse_options(["events=audio", "weak=true", "num_pairs=500"])
        {'events': 'audio', 'weak': True, 'num_pairs': 500}
    """
    options: dict[str, bool | int | str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise ValueError(f"`--option` must be NAME=VALUE. Received: {word!r}")
        if name in taken:
            raise ValueError(f"`--option` must be an option of the data set. Received: {word!r}")
        if value.lower() in ("true", "false"):
            options[name] = value.lower() == "true"
        else:
            options[name] = int(value) if value.isdecimal() else value
    return options


def construct(cls: Callable[..., Any], name: str, root: Any, options: Mapping[str, Any]) -> Any:
    """Constructs a data set from options that a user gave.

    Args:
        cls: class of the data set.
        name: name of the data set, for the error message.
        root: folder of the data set.
        options: further arguments of the class.

    Returns:
        The data set.

    Raises:
        ValueError: if the class has no such option.

    Example:
        >>> construct(lambda root: root, "ave", "folder", {"colour": "red"})
        Traceback (most recent call last):
        ...
        ValueError: options of 'ave' must be known: ... unexpected keyword argument 'colour'
    """
    try:
        return cls(root, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(f"options of {name!r} must be known: {error}") from error
