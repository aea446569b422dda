"""The command line `python -m recipes NAME`: names of recipes, options, errors and exit codes."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.io.files import run_command
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
ENGINES = ("jax", "tensorflow", "torch")
EXTRAS = {"diffusers": "generation", "transformers": "generation", "keras_tuner": "tuner"}
EXTRAS["faiss"] = "search"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code: 0 after success, 2 after an error, 130 after an interruption.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = parser().parse_args(words)
    if chosen.recipe == LIST:
        print(listing())
        return 0
    # TensorFlow reads this once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return run_command(
        lambda: _run(chosen.recipe, chosen.options, words),
        debug="--debug" in words,
        interrupted="stopped; prepared features, cached results and finished seeds are kept, see "
        "--resume",
        describe=message,
    )


def _run(name: str, options: Sequence[str], words: Sequence[str]) -> int:
    # Imported here so that `--help` and `list` do not wait for Keras.
    recipe = importlib.import_module(f"recipes.experiments.{name}")
    given = recipe_parser(name, recipe).parse_args(options)
    from recipes.runner.seed_runs import plan, plan_text, run_all

    planned = plan(name, recipe, given, command_line(words))
    if given.dry_run:
        print(plan_text(planned))
        return 0
    print(run_all(recipe, planned))
    for path in sorted(Path(planned.resources.out).iterdir()):
        if path.is_file():
            print(f"  {path}")
    return 0


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
        prog="python -m recipes",
        description="Runs an experiment; its result and its report go to a folder.",
        epilog=listing(),
    )
    result.add_argument(
        "recipe",
        choices=[LIST, *RECIPES],
        metavar="RECIPE",
        help=f"name of a recipe, see below; {LIST} prints the names",
    )
    result.add_argument("options", nargs=argparse.REMAINDER, help="options of the recipe")
    return result


def recipe_parser(name: str, recipe: Any) -> Parser:
    """Returns the parser of a recipe's options.

    Args:
        name: name of the recipe.
        recipe: its module.

    Example:

    >>> from recipes.experiments import quickstart
    >>> recipe_parser("quickstart", quickstart).parse_args(["--epochs", "2"]).epochs
    2
    """
    result = Parser(prog=f"python -m recipes {name}", description=recipe.__doc__)
    add_options(result, name, recipe.OPTIONS)
    return result


def command_line(words: Sequence[str]) -> str:
    """Returns the command that repeats a run, with its engine.

    Args:
        words: arguments of `python -m recipes`.

    Example:

    >>> command_line(["quickstart", "--out", "my run"]).partition("python")[2]
    " -m recipes quickstart --out 'my run'"
    """
    import keras

    engine = keras.backend.backend()
    return shlex.join([f"KERAS_BACKEND={engine}", "python", "-m", "recipes", *words])


def message(error: BaseException) -> str:
    """Returns an error in one line; for a missing package, what to install.

    Args:
        error: the error.

    Example:

    >>> message(ModuleNotFoundError("No module named 'jax'", name="jax"))
    "the engine 'jax' is not installed; set KERAS_BACKEND to an installed engine (...), or ..."
    """
    text = " ".join(str(error).split())
    package = (getattr(error, "name", None) or "").partition(".")[0]
    chosen = os.environ.get("KERAS_BACKEND", "")
    if package in ENGINES or "Unable to import backend" in text:
        installed = [name for name in ENGINES if name != package and _is_installed(name)]
        known = f"installed engine ({', '.join(installed)})" if installed else "installed engine"
        return (
            f"the engine {package or chosen!r} is not installed; set KERAS_BACKEND to an {known}, "
            f"or `pip install 'keras-cmg[ENGINE]'` with ENGINE one of {', '.join(ENGINES)}"
        )
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get(package, "data,report")
        return f"{text}; this needs `pip install 'keras-cmg[{extra}]'`"
    return text


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
