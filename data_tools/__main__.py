"""Prepares and extracts features, packs them into stores, and verifies data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from data_tools.commands import extract, pack, prepare, verify
from data_tools.io.files import EXIT_CODES, run_command

COMMANDS = {
    "prepare": (prepare, "features of a raw data set"),
    "extract": (extract, "features of raw clips into a sharded store"),
    "pack": (pack, "published or prepared features into a store"),
    "verify": (verify, "check a published data set or a prepared folder"),
}
"""Name to module and help."""


def parser() -> argparse.ArgumentParser:
    """Makes the command-line parser.

    Returns:
        The parser.

    Example:
        >>> parser().parse_args(["verify", "features"]).name
        'features'
    """
    result = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=__doc__,
        epilog=EXIT_CODES,
    )
    commands = result.add_subparsers(dest="command", required=True)
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=text,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: arguments of the command line; those of the process if None.

    Returns:
        Exit code: 0 for success; 1 after a failure, or if `verify` found something missing or
        damaged; 2 after wrong arguments or input; 130 after an interrupt. An error is printed in
        one line, with its traceback before it if `--debug` is given.

    Example:
        >>> main(["prepare", "synthetic", "--out", ".", "--train", "0"])
        2
    """
    options, rest = parser().parse_known_args(arguments)
    module, _ = COMMANDS[options.command]
    if rest and not getattr(module, "KEEPS_UNKNOWN", False):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest, options.result = rest, {}
    interrupted = getattr(module, "INTERRUPTED", "interrupted")
    return run_command(lambda: module.run(options), options.debug, interrupted)


if __name__ == "__main__":
    sys.exit(main())
