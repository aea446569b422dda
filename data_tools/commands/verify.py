"""Checks a published data set, or a folder of prepared features.

What is missing, damaged or differs from the published file is listed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from data_tools.commands.shared import add_option
from data_tools.io.arguments import parse_options
from data_tools.io.files import BAD_INPUT, FAILURE, SUCCESS, check_writable, describe, run_command
from data_tools.published.inspection import inspect, write_clean
from data_tools.published.registry import PUBLISHED_DATASETS
from data_tools.raw.registry import RAW_DATASETS
from data_tools.raw.verification import verify


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command.

    Args:
        command: its parser.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> parser.parse_args(["features"]).name
        'features'
    """
    command.add_argument(
        "name", help=f"a prepared folder, or with --root one of {', '.join(PUBLISHED_DATASETS)}"
    )
    command.add_argument("--root", help="folder of the published data set")
    command.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder of other data sets, whose shared videos are reported (repeatable)",
    )
    command.add_argument("--clean", metavar="FILE", help="write the cleaned split into this table")
    command.add_argument(
        "--quick", action="store_true", help="check that feature files exist without reading them"
    )
    add_option(command)


def run(arguments: argparse.Namespace) -> int:
    """Runs `verify`.

    Args:
        arguments: parsed arguments.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if a file is damaged, or arguments do not fit together.
    """
    if arguments.root is None:
        if arguments.clean or arguments.option or arguments.quick or arguments.against:
            raise ValueError(
                "`--clean`, `--quick`, `--against` and `--option` must come with `--root`, the "
                "folder of a published data set"
            )
        if arguments.name in PUBLISHED_DATASETS and not Path(arguments.name).exists():
            raise ValueError(f"`--root` must name the folder of {arguments.name!r}")
        return _verify_prepared(arguments)
    if arguments.name in RAW_DATASETS:
        raise ValueError(
            f"{arguments.name!r} is kept as a prepared folder: verify {arguments.root}, "
            "without `--root`"
        )
    options = parse_options(arguments.option)
    if arguments.clean:
        check_writable(arguments.clean, "--clean")
    report = inspect(
        arguments.name, arguments.root, not arguments.quick, arguments.against, **options
    )
    lines = report.lines()
    print("\n".join(lines))
    arguments.result.update(whole=report.whole, lines=lines)
    if arguments.clean:
        write_clean(report, arguments.clean)
        print(f"written to {arguments.clean}")
    return SUCCESS if report.whole else FAILURE


def _verify_prepared(arguments: argparse.Namespace) -> int:
    if not Path(arguments.name).is_dir():
        raise FileNotFoundError(f"`name` must be a prepared folder. Received: {arguments.name}")

    def check() -> int:
        lines = verify(arguments.name)
        print("\n".join(lines))
        arguments.result.update(whole=True, lines=lines)
        print(f"{arguments.name} is whole")
        return SUCCESS

    def damage(error: BaseException) -> str:
        text = describe(error)
        arguments.result.update(whole=False, error=text)
        return text

    code = run_command(check, arguments.debug, describe=damage)
    return FAILURE if code == BAD_INPUT else code
