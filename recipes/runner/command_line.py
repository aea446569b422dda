"""The command line `python -m recipes NAME`: names of recipes, options, errors and exit codes."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.io.files import read_json, run_command, set_engine_defaults
from recipes.runner.options import Parser, add_options

RECIPES = {
    "quickstart": ("", "train FCID without labels, probe it across modalities"),
    "train": ("", "train on a folder of your clips, measure, index the clips"),
    "pretrain": ("Figure 9", "train a model without labels and keep it for other recipes"),
    "table1": ("Table 1", "cross-modal generalisation: --task ave, avvp, ave_avvp, ucf_vggsound"),
    "compare": ("Tables 1 and 2", "tune, train and compare all models; ablate a preset"),
    "quantizers": ("", "train models with each quantiser of the library, on clips and images"),
    "open_set": ("", "known classes in one modality, known and unknown ones in another"),
    "retrieval": ("Tables 2 and 10", "find the partner of a clip in another modality"),
    "vqvae_toc": ("Table 3, Figures 4, 10", "TOC before a VQ-VAE's decoder, against random masks"),
    "generation": ("Table 4, Figures 5, 11", "images from codes of images, sounds and captions"),
    "ablation": ("Tables 5, 6, 7, 9 and 11", "losses, CLUB terms, TOC, codebook size"),
    "efficiency": ("Table 8", "time and memory of training, relative to DCID"),
    "activation": ("Figures 6 and 7", "which modalities use which codes"),
    "codebook_similarity": ("Figure 8", "similarity of codes, before and after TOC"),
    "loss_curves": ("Figure 9", "the terms of the loss by epoch"),
    "retrieval_index": ("", "index clips by their codes, find them by another modality"),
    "tune": ("", "search for hyperparameters of a model, compare them with its preset"),
}
"""Module in `recipes.experiments` to what it reproduces of the paper, and what it does.

A recipe is a module with

- `OPTIONS`: a `recipes.runner.options.RecipeOptions`;
- `check(settings)`: optional; checks settings together and returns them, completed;
- `run(job, out)`: measures one seed, see `recipes.runner.seed_runs.Job`, writes its own files to
  the folder `out`, and returns what was measured, as a dict for `result.json`;
- `report(runs, out)`: writes tables and a page of finished seeds to `out`, and returns the text to
  print, see `recipes.reporting.report_writer.publish`;
- `data_identity(job)`: optional; identifies the data of a run, so that `--resume` keeps no seed
  that was measured on other data.
"""

LIST = "list"
PROGRAM = f"python -m {__name__.partition('.')[0]}"
INTERRUPTED = "stopped; prepared features, cached results and finished seeds are kept, see --resume"
"""Line that is printed after an interrupt."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code, see `keras_cmg.faults.run_command`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = parser().parse_args(words)
    if chosen.recipe == LIST:
        print(listing())
        return 0

    def run() -> int:
        set_engine_defaults()
        # Imported here so that `--help` and `list` do not wait for Keras.
        recipe = load_recipe(chosen.recipe)
        given = recipe_parser(chosen.recipe, recipe).parse_args(chosen.options)
        run_recipe(chosen.recipe, recipe, given, [*PROGRAM.split(), *words])
        return 0

    return run_command(run, "--debug" in words, INTERRUPTED)


def load_recipe(name: str) -> Any:
    """Imports the module of a recipe.

    Args:
        name: name of the recipe.

    Returns:
        The module.

    Raises:
        ValueError: if there is no such recipe.

    Example:

    >>> load_recipe("quickstart").OPTIONS.default("batch_size")
    80
    """
    if name not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}. Received: {name!r}")
    return importlib.import_module(f"..experiments.{name}", __package__)


def run_recipe(
    name: str, recipe: Any, given: argparse.Namespace, command: Sequence[str]
) -> dict[str, Any]:
    """Runs a recipe and prints its tables and the files that it wrote.

    Args:
        name: name of the recipe.
        recipe: its module.
        given: parsed command line; with `dry_run`, only the plan is printed.
        command: words of the command, for provenance.

    Returns:
        Dict of `out`, the folder, `files`, their paths, and `result`, the content of `result.json`;
        of `plan`, a text, with `dry_run`.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    from recipes.runner.output_folder import RESULT
    from recipes.runner.seed_runs import plan, plan_text, run_all

    planned = plan(name, recipe, given, command_line(command))
    if given.dry_run:
        text = plan_text(planned)
        print(text)
        return {"plan": text}
    print(run_all(recipe, planned))
    out = Path(planned.resources.out)
    return {**list_files(out), "result": read_json(out / RESULT)}


def list_files(out: Path) -> dict[str, Any]:
    """Prints the files of a folder.

    Args:
        out: the folder.

    Returns:
        Dict of `out`, the folder, and `files`, their paths.

    Example:

    >>> _ = Path("table.md").write_text("")
    >>> list_files(Path("."))
      table.md
    {'out': '.', 'files': ['table.md']}
    """
    files = [str(path) for path in sorted(out.iterdir()) if path.is_file()]
    print("\n".join(f"  {file}" for file in files))
    return {"out": str(out), "files": files}


def listing() -> str:
    """Returns a line for each recipe.

    Example:

    >>> "quickstart" in listing()
    True
    """
    width = max(len(name) for name in RECIPES)
    return "\n".join(
        f"  {name:{width}}  {text}{f' ({source})' if source else ''}"
        for name, (source, text) in RECIPES.items()
    )


def parser() -> Parser:
    """Returns the parser of the first word, the name of the recipe.

    Example:

    >>> parser().parse_args(["quickstart", "--smoke"]).options
    ['--smoke']
    """
    result = Parser(
        prog=PROGRAM,
        description="Runs an experiment; its result and its report go to a folder.",
        epilog=listing(),
    )
    add_arguments(result)
    return result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the name of a recipe, and what follows it, to a parser.

    Args:
        parser: the parser.

    Example:

    >>> parser = Parser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["list"]).recipe
    'list'
    """
    parser.add_argument(
        "recipe",
        choices=[LIST, *RECIPES],
        metavar="RECIPE",
        help=f"name of a recipe, see below; {LIST} prints the names",
    )
    rest = parser.add_argument("options", nargs=argparse.REMAINDER, help="options of the recipe")
    # Else named as missing beside the recipe, although it may be empty.
    rest.required = False


def recipe_parser(name: str, recipe: Any, program: str = PROGRAM) -> Parser:
    """Returns the parser of a recipe's options.

    Args:
        name: name of the recipe.
        recipe: its module.
        program: words before the name, which help shows.

    Example:

    >>> from recipes.experiments import quickstart
    >>> recipe_parser("quickstart", quickstart).parse_args(["--epochs", "2"]).epochs
    2
    """
    description = (recipe.__doc__ or "").replace("python -m recipes", program)
    result = Parser(prog=f"{program} {name}", description=description)
    add_options(result, name, recipe.OPTIONS)
    return result


def command_line(words: Sequence[str]) -> str:
    """Returns the command that repeats a run, with its engine.

    Args:
        words: words of the command.

    Example:

    >>> command_line(["keras-cmg", "demo", "--out", "my run"]).partition(" ")[2]
    "keras-cmg demo --out 'my run'"
    """
    import keras

    return shlex.join([f"KERAS_BACKEND={keras.backend.backend()}", *words])
