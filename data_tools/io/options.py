"""Options of a data set, as they are given on the command line."""

from __future__ import annotations

from collections.abc import Container, Sequence


def parse_options(words: Sequence[str], taken: Container[str] = ()) -> dict[str, bool | int | str]:
    """Options of a data set from the command line.

    Args:
        words: each `name=value`.
        taken: names that are no options of a data set, such as arguments of `prepare`.

    Returns:
        The values, as bool or int where they look like it.

    Raises:
        ValueError: a word has no equals sign, or its name is taken.

    Example:
        >>> parse_options(["events=audio", "weak=true", "num_pairs=500"])
        {'events': 'audio', 'weak': True, 'num_pairs': 500}
    """
    options: dict[str, bool | int | str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise ValueError(f"`--option` must be NAME=VALUE; received: {word!r}")
        if name in taken:
            raise ValueError(f"`--option` must be of the data set itself; received: {word!r}")
        if value.lower() in ("true", "false"):
            options[name] = value.lower() == "true"
        else:
            options[name] = int(value) if value.isdecimal() else value
    return options
