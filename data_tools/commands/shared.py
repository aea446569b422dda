"""Options that several commands have."""

from __future__ import annotations

import argparse


def add_option(command: argparse.ArgumentParser) -> None:
    """Adds `--option`, which gives options of a data set.

    Args:
        command: parser of the command.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_option(parser)
        >>> parser.parse_args(["--option", "events=audio"]).option
        ['events=audio']
    """
    command.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the data set, such as events=audio or test_speaker=george (repeatable)",
    )


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """Adds `--overwrite`.

    Args:
        command: parser of the command.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_overwrite(parser)
        >>> parser.parse_args(["--overwrite"]).overwrite
        True
    """
    command.add_argument(
        "--overwrite", action="store_true", help="replace features or a store that --out holds"
    )
