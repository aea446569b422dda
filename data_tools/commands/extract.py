"""Extracts features of raw clips into a sharded store.

Clips are a folder of WAV, FLAC, OGG, MP3, MP4, AVI, frames and captions, or a CSV manifest. The
same command goes on with an extraction that was stopped.
"""

from __future__ import annotations

import argparse

from data_tools.commands.shared import add_overwrite
from data_tools.extraction import command as extraction
from data_tools.io.files import FAILURE, SUCCESS, check_writable

KEEPS_UNKNOWN = True
"""The pipeline's own options follow all others under `--runner`."""
INTERRUPTED = "interrupted; the same command goes on with the clips that are left"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command.

    Args:
        command: its parser.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> parser.parse_args(["--input", "clips", "--out", "store"]).segments
        10
    """
    extraction.add_arguments(command)
    add_overwrite(command)


def run(arguments: argparse.Namespace) -> int:
    """Runs `extract`.

    Args:
        arguments: parsed arguments, with `rest`, those that the parser does not know.

    Returns:
        Exit code; a failure if no clip could be read.

    Raises:
        FileNotFoundError: if the input or a file of weights does not exist.
        ValueError: if an argument or the input is wrong, or the output holds something else.
        ImportError: if an extractor or the runner lacks a package.
    """
    check_writable(arguments.out, "--out")
    found = extraction.run(arguments, arguments.rest)
    print("\n".join(extraction.lines(found)))
    arguments.result.update(found)
    return SUCCESS if found["rows"] else FAILURE
