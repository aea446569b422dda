"""What all recipes share on the command line: their names, options, output folder and errors."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_tools.files import read_json

RECIPES = {
    "quickstart": "train FCID without labels, probe it across modalities, write a report",
}
"""Name of each module of this folder that is a recipe, and what it does.

A recipe has `add_arguments(parser)`, and `run(options, out)`, which leaves its files, among them
`RESULT`, in the folder `out`.
"""

RESULT = "result.json"
CACHES = ("features",)
"""What an interrupted run may leave in the output folder, to be found again by the next one."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code: 0; 2 after an error, told in one line; 130 after an interruption.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = parser().parse_args(words)
    # TensorFlow reads this once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # Imported late: `--help` need not wait for Keras.
        recipe = importlib.import_module(f"recipes.{chosen.recipe}")
        options = recipe_parser(chosen.recipe, recipe).parse_args(chosen.options)
        options.command = command_line(words)
        if options.seed < 0:
            raise ValueError(f"--seed must be at least 0; received: {options.seed}")
        out = Path(options.out)
        with output_folder(out, chosen.recipe) as folder:
            summary = recipe.run(options, folder)
        print(summary)
    except ModuleNotFoundError as error:
        print(f"error: {missing_module(error)}", file=sys.stderr)
        return 2
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written but prepared features", file=sys.stderr)
        return 130
    for path in sorted(out.iterdir()):
        if path.is_file():
            print(f"  {path}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the first word, the recipe's name.

    Returns:
        The parser.

    Example:

    >>> parser().parse_args(["quickstart", "--smoke"]).options
    ['--smoke']
    """
    result = argparse.ArgumentParser(
        prog="python -m recipes",
        description="Runs an experiment; its result and its report go to a folder.",
        epilog="\n".join(f"  {name:12} {text}" for name, text in RECIPES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("recipe", choices=sorted(RECIPES), help="what to run, see below")
    result.add_argument("options", nargs=argparse.REMAINDER, help="of the recipe")
    return result


def recipe_parser(name: str, recipe: Any) -> argparse.ArgumentParser:
    """The parser of a recipe's options: those of all recipes and its own.

    Args:
        name: of the recipe.
        recipe: its module.

    Returns:
        The parser.

    Example:

    >>> import recipes.quickstart
    >>> recipe_parser("quickstart", recipes.quickstart).parse_args([]).seed
    0
    """
    result = argparse.ArgumentParser(
        prog=f"python -m recipes {name}",
        description=recipe.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--out", default=f"runs/{name}", help="folder to write (%(default)s)")
    result.add_argument("--seed", type=int, default=0, help="of the training (default: 0)")
    result.add_argument(
        "--smoke", action="store_true", help="a few clips and steps, to see that everything runs"
    )
    recipe.add_arguments(result)
    return result


def command_line(words: Sequence[str]) -> str:
    """The command that repeats a run, with the engine it ran on.

    Args:
        words: arguments of `python -m recipes`.

    Returns:
        One line for a shell.

    Example:

    >>> command_line(["quickstart", "--out", "my run"]).partition("python")[2]
    " -m recipes quickstart --out 'my run'"
    """
    import keras

    return shlex.join(
        [f"KERAS_BACKEND={keras.backend.backend()}", "python", "-m", "recipes", *words]
    )


@contextlib.contextmanager
def output_folder(out: Path, recipe: str) -> Iterator[Path]:
    """A scratch folder whose files move to `out` together once the block succeeds.

    Args:
        out: where the files go: a new folder, an empty one, or that of an earlier run of the
            same recipe, whose files are replaced.
        recipe: its name.

    Yields:
        The scratch folder, inside `out`; caches belong beside it, in `out` itself.

    Raises:
        ValueError: `out` holds something else, which stays as it is.

    Example:

    >>> out = Path("run")
    >>> with output_folder(out, "quickstart") as folder:
    ...     _ = (folder / "result.json").write_text('{"recipe": "quickstart"}')
    >>> [path.name for path in out.iterdir()]
    ['result.json']
    """
    check_output_folder(out, recipe)
    out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=out))
    try:
        yield scratch
        # The result last: where it is, all is.
        for path in sorted(scratch.iterdir(), key=lambda path: path.name == RESULT):
            os.replace(path, out / path.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with contextlib.suppress(OSError):
            # Succeeds on an empty folder only.
            out.rmdir()


def check_output_folder(out: Path, recipe: str) -> None:
    """Refuses a folder that holds anything but an earlier run of the same recipe.

    Args:
        out: the folder.
        recipe: name of the recipe.

    Raises:
        ValueError: naming the folder and what it holds.

    Example:

    >>> check_output_folder(Path("not-there-yet"), "quickstart")
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a folder; received the file {out}")
    names = sorted(path.name for path in out.iterdir()) if out.exists() else []
    found = [name for name in names if name not in CACHES and not name.endswith(".part")]
    if not found:
        return
    advice = "choose another folder, or empty this one"
    if RESULT not in found:
        raise ValueError(
            f"--out must be new, empty or of an earlier run of {recipe}; {out} holds "
            f"{', '.join(found[:3])}: {advice}"
        )
    earlier = read_json(out / RESULT).get("recipe")
    if earlier != recipe:
        raise ValueError(
            f"--out must be new, empty or of an earlier run of {recipe}; {out} is of "
            f"{earlier}: {advice}"
        )


def missing_module(error: ModuleNotFoundError) -> str:
    """What to install for a package that could not be found.

    Args:
        error: as raised by the import.

    Returns:
        One line.

    Example:

    >>> missing_module(ModuleNotFoundError("No module named 'jax'", name="jax"))[-43:]
    'or set KERAS_BACKEND to an installed engine'
    """
    package = (error.name or "").partition(".")[0]
    if package in ("jax", "tensorflow", "torch"):
        return (
            f"the engine {package!r} is not installed; install it, or set KERAS_BACKEND to an "
            "installed engine"
        )
    return f"{error}; recipes need `pip install 'keras-cmg[data,report]'`"
