"""The console command `keras-cmg`: its subcommands, exit codes, errors, `--debug` and `--json`.

To add a subcommand, add its name to `COMMANDS` and a module of that name beside this file (or to
`data_tools/commands`, if it needs no engine), with

- a docstring, which `--help` shows;
- `add_arguments(parser)`: adds its options; `--debug` and `--json` are added here;
- `run(arguments)`: runs it and returns an exit code. `arguments` has the values of the options, and

  - `result`, an empty dict: what `run` puts into it, in types of JSON, is printed by `--json`;
  - `command`, the words of the command line, for provenance;
  - `rest`, words that the parser does not know, if the module has `KEEPS_UNKNOWN = True`;

- `INTERRUPTED`: optional, the line that is printed after an interrupt.

Errors are raised, not printed: a ValueError for a wrong argument or a damaged file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from data_tools import commands as data_commands
from data_tools.io.engine_free import load_module
from data_tools.io.files import BAD_INPUT, EXIT_CODES, run_command, set_engine_defaults
from data_tools.io.files import describe as describe_error
from recipes.runner.options import Parser, UsageError

PROGRAM = "keras-cmg"
COMMANDS = {
    "demo": "train on rendered clips, probe across modalities, write a report",
    "extract": "features of a folder of clips, into a store",
    "train": "train on a folder of your clips, and index them",
    "index": "index a folder of clips with a trained model",
    "search": "find clips by a sound, a picture, a video or words",
    "report": "write the report of a finished run again",
    "serve": "answer searches by a REST service, and on a page with --ui",
    "push": "upload a trained model to the Hugging Face hub",
    "export": "a trained model as SavedModel, ONNX or LiteRT",
    "tune": "search for hyperparameters of a model",
    "prepare": "features of a raw data set",
    "pack": "published or prepared features, into a store",
    "verify": "check a published data set or a folder of features",
    "recipe": "run any experiment: tables and figures of the paper, and others",
}
"""Name, which is that of a module beside this one, to what it does."""
OF_DATA_TOOLS = ("extract", "prepare", "pack", "verify")
"""Commands whose modules are in `data_tools.commands`."""


def main(words: Sequence[str] | None = None) -> int:
    """Runs the console command.

    Args:
        words: words of the command line; those of the process if None.

    Returns:
        Exit code: 0 after success, 1 after a failure, 2 after wrong arguments or input, 130 after
        an interrupt.

    Example:

    >>> main(["verify", "no-such-folder"])
    2
    """
    words = list(sys.argv[1:] if words is None else words)
    if not words:
        parser().print_help(sys.stderr)
        return BAD_INPUT
    if "--json" not in words:
        return _run(words, {})
    answer: dict[str, Any] = {}
    with stdout_to_stderr():
        try:
            code = _run([word for word in words if word != "--json"], answer)
        except UsageError as error:
            code, answer["error"] = BAD_INPUT, error.text
    text = json.dumps({"exit_code": code, **answer}, default=str)
    # JSON has no number for what is not finite.
    print(json.dumps(json.loads(text, parse_constant=lambda name: None)))
    return code


def parser() -> Parser:
    """Returns the parser of the first word, the name of the subcommand.

    Example:

    >>> parser().parse_args(["demo", "--smoke"]).options
    ['--smoke']
    """
    width = max(len(name) for name in COMMANDS)
    listing = "\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items())
    result = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [options]",
        description="Cross-modal generalisation: one discrete code space for sound, pictures and "
        "words.",
        epilog=f"commands:\n{listing}\n\n{PROGRAM} COMMAND --help shows the options of a "
        f"command. Every command has --debug and --json.\n{EXIT_CODES}",
    )
    version = load_module("keras_cmg.version").__version__
    result.add_argument("--version", action="version", version=f"{PROGRAM} {version}")
    result.add_argument("name", choices=list(COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS)
    rest = result.add_argument("options", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    # Else named as missing beside the command, although it may be empty.
    rest.required = False
    return result


def load(name: str) -> ModuleType:
    """Imports the module of a subcommand.

    Args:
        name: name of the subcommand.

    Returns:
        The module.

    Example:

    >>> load("verify").__name__
    'data_tools.commands.verify'
    """
    package = data_commands.__name__ if name in OF_DATA_TOOLS else __package__
    return importlib.import_module(f"{package}.{name}")


def command_parser(name: str, command: Any) -> Parser:
    """Returns the parser of a subcommand.

    Args:
        name: name of the subcommand.
        command: its module.

    Example:

    >>> command_parser("verify", load("verify")).parse_args(["features", "--json"]).json
    True
    """
    result = Parser(prog=f"{PROGRAM} {name}", description=command.__doc__, epilog=EXIT_CODES)
    command.add_arguments(result)
    if "--debug" not in result.format_usage():
        result.add_argument("--debug", action="store_true", help="show the traceback of an error")
    result.add_argument(
        "--json",
        action="store_true",
        help="print the result as one JSON object, and everything else to stderr",
    )
    return result


def _run(words: Sequence[str], result: dict[str, Any]) -> int:
    """Runs a subcommand; its result, or its error, is put into `result`."""
    debug = "--debug" in words
    chosen = parser().parse_args([word for word in words if word != "--debug"])
    result["command"] = chosen.name

    def run() -> int:
        set_engine_defaults()
        # May lack a package. `keras-cmg --help` does not wait for Keras.
        command = load(chosen.name)
        options = command_parser(chosen.name, command)
        given, rest = options.parse_known_args(chosen.options)
        if rest and not getattr(command, "KEEPS_UNKNOWN", False):
            options.error(f"unrecognized arguments: {' '.join(rest)}")
        given.debug, given.rest, given.result = debug, rest, result
        given.command = [PROGRAM, *words]
        try:
            return command.run(given)
        except KeyboardInterrupt as stopped:
            raise KeyboardInterrupt(getattr(command, "INTERRUPTED", "")) from stopped

    def describe(error: BaseException) -> str:
        result["error"] = describe_error(error)
        return result["error"]

    return run_command(run, debug, describe=describe)


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Sends to stderr what the process, and processes that it starts, print.

    Example:

    >>> with stdout_to_stderr():
    ...     print("not shown")
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


if __name__ == "__main__":
    sys.exit(main())
