"""What all recipes share on the command line: their names, options, output folder and errors."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECIPES = {
    "generation": ("Table 4, Figures 5, 11", "images from codes of images, sounds and words"),
    "compare": ("Tables 1 and 2", "tune, train and compare all systems; take one of them apart"),
    "quickstart": ("", "train FCID without labels, probe it across modalities"),
    "retrieval_index": ("", "find clips of one modality by another, filed under their codes"),
    "vqvae_toc": ("Table 3, Figures 4, 10", "TOC before a VQ-VAE's decoder, against random masks"),
    "pretrain": ("Figure 9", "train a system without labels and keep it for the other recipes"),
    "ave": ("Table 1", "AVE: the event of a clip, across modalities"),
    "avvp": ("Table 1", "AVVP: which events are when, across modalities"),
    "ave_avvp": ("Table 1", "learn on AVE, localise events of AVVP, across modalities"),
    "ucf_vggsound": ("Table 1", "UCF-101 seen, VGGSound heard: the class of a clip"),
    "retrieval": ("Tables 2 and 10", "find the partner of a clip in another modality"),
    "ablation": ("Tables 5, 6, 7, 9 and 11", "losses, CLUB terms, TOC, codebook size"),
    "efficiency": ("Table 8", "time and memory of training, beside DCID's"),
    "activation": ("Figures 6 and 7", "which modalities use which codes"),
    "codebook_similarity": ("Figure 8", "how alike codes are, before and after TOC"),
    "loss_curves": ("Figure 9", "the terms of the loss, epoch by epoch"),
    "tune": ("", "search for settings of a system, compare them with its preset"),
}
"""Name of each module of this folder that is a recipe; what of the paper it redraws; what it does.

A recipe is a module with

- `add_arguments(parser)`: its own options;
- `settings_of(options)`: a dataclass of all that decides its numbers but the seed, checked;
- `run(options, out)`: measures one seed, `options.seed`, and leaves `RESULT` in the folder `out`:
  `recipes.runner.provenance.about(options, settings)` and whatever was measured;
- `report(runs, out)`: writes tables and a page of one finished seed or of several into `out`, and
  gives the text to print; see `recipes.reporting.report_writer`.
"""

LIST = "list"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code: 0; 2 after an error, told in one line; 130 after an interruption.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = parser().parse_args(words)
    if chosen.recipe == LIST:
        print(listing())
        return 0
    # TensorFlow reads this once, when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # Imported late: `--help` need not wait for Keras.
        recipe = importlib.import_module(f"recipes.experiments.{chosen.recipe}")
        options = recipe_parser(chosen.recipe, recipe).parse_args(chosen.options)
        options.recipe, options.command = chosen.recipe, command_line(words)
        from recipes.runner import seeds

        if options.dry_run:
            print(seeds.plan(recipe, options))
            return 0
        print(seeds.run_all(recipe, options))
    except ModuleNotFoundError as error:
        print(f"error: {missing_module(error)}", file=sys.stderr)
        return 2
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "stopped; of this run stay prepared features and finished seeds, which --resume keeps",
            file=sys.stderr,
        )
        return 130
    for path in sorted(Path(options.out).iterdir()):
        if path.is_file():
            print(f"  {path}")
    return 0


def listing() -> str:
    """What recipes there are.

    Returns:
        A line for each.

    Example:

    >>> "quickstart" in listing()
    True
    """
    width = max(len(name) for name in RECIPES)
    return "\n".join(
        f"  {name:{width}}  {text}{f' ({source})' if source else ''}"
        for name, (source, text) in RECIPES.items()
    )


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
        epilog=listing(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument(
        "recipe",
        choices=[LIST, *sorted(RECIPES)],
        metavar="RECIPE",
        help=f"what to run, see below; or {LIST}, to show only that",
    )
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

    >>> import recipes.experiments.quickstart
    >>> recipe_parser("quickstart", recipes.experiments.quickstart).parse_args([]).seed
    0
    """
    result = argparse.ArgumentParser(
        prog=f"python -m recipes {name}",
        description=recipe.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--out", default=f"runs/{name}", help="folder to write (%(default)s)")
    result.add_argument("--seed", type=int, default=0, help="the first one (default: 0)")
    result.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="how many, one after another (default: 1)"
    )
    result.add_argument(
        "--resume", action="store_true", help="keep the seeds that an earlier run has finished"
    )
    result.add_argument(
        "--dry-run", action="store_true", help="check the options and say what would be done"
    )
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
    extra = "generation" if package in ("diffusers", "transformers") else "data,report"
    return f"{error}; this needs `pip install 'keras-cmg[{extra}]'`"
