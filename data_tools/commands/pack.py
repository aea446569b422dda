"""Packs published or prepared features into a store of sharded rows with checksums."""

from __future__ import annotations

import argparse

from data_tools import store
from data_tools.commands.shared import add_option, add_overwrite
from data_tools.io.arguments import parse_options
from data_tools.io.files import SUCCESS, check_writable
from data_tools.published.registry import PUBLISHED_DATASETS


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command.

    Args:
        command: its parser.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> parser.parse_args(["features", "--out", "store"]).labels
        'segment'
    """
    command.add_argument("root", help="folder of annotations and features")
    command.add_argument("--out", required=True, help="store to write")
    command.add_argument(
        "--dataset",
        help=f"published data set, one of {', '.join(PUBLISHED_DATASETS)} (default: root is a "
        "prepared folder)",
    )
    command.add_argument(
        "--labels",
        choices=("segment", "weak", "none"),
        default="segment",
        help="labels of segments, of whole clips (published data sets alone), or none "
        "(default: segment)",
    )
    command.add_argument(
        "--shard-rows", type=int, metavar="N", help="clips per shard (default: of 256 MB)"
    )
    add_option(command)
    add_overwrite(command)


def run(arguments: argparse.Namespace) -> int:
    """Runs `pack`.

    Args:
        arguments: parsed arguments.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if an argument or a file is wrong, or the store exists.
    """
    check_writable(arguments.out, "--out")
    result = store.pack(
        arguments.root,
        arguments.out,
        arguments.dataset,
        labels=False if arguments.labels == "none" else arguments.labels,
        shard_rows=arguments.shard_rows,
        overwrite=arguments.overwrite,
        progress=True,
        options=parse_options(arguments.option),
    )
    print(f"{result['rows']} clips are in {arguments.out}, {result['failed']} could not be read")
    arguments.result.update(out=arguments.out, rows=result["rows"], failed=result["failed"])
    return SUCCESS
