"""Checks a published data set, a folder of prepared features, or a store.

What is missing, damaged or differs from the published file is listed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

from data_tools.commands.shared import add_option
from data_tools.io.arguments import parse_options
from data_tools.io.feature_folder import MANIFEST
from data_tools.io.files import BAD_INPUT, FAILURE, SUCCESS, check_writable, describe, run_command
from data_tools.published.inspection import inspect, write_clean
from data_tools.published.registry import PUBLISHED_DATASETS
from data_tools.raw.registry import RAW_DATASETS
from data_tools.raw.verification import verify
from data_tools.store import Store
from data_tools.store.schema import SCHEMA


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
        "name",
        help=f"a prepared folder, a store, or with --root one of {', '.join(PUBLISHED_DATASETS)}",
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
        return _verify_folder(arguments)
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


def _verify_folder(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.name)
    is_store = (folder / SCHEMA).is_file()
    if not is_store and not (folder / MANIFEST).is_file():
        nearest = difflib.get_close_matches(arguments.name, PUBLISHED_DATASETS, 1)
        hint = f"; did you mean {nearest[0]} with --root?" if nearest else ""
        raise FileNotFoundError(
            f"`name` must be a prepared folder with {MANIFEST}, a store with {SCHEMA}, or with "
            f"--root a data set. Received: {arguments.name}{hint}"
        )

    def check() -> int:
        lines = _checked_store(folder) if is_store else verify(folder)
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


def _checked_store(folder: Path) -> list[str]:
    store = Store(folder)
    rows = store.check()
    fields = (f"{name}: {(rows, *field.shape)}" for name, field in store.fields.items())
    return [f"checksums: {rows} rows of {len(store.schema['shards'])} shards as written", *fields]
