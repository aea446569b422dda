"""The catalogue of command-line options: one name, one meaning and one type for all recipes.

A recipe picks names from `CATALOGUE`; it may change a default, but not what an option means. To add
an option, add it here.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

SPLITS = ("train", "val", "test")
IMAGE_MODELS = ("vqvae",)
"""Models of one modality, which cannot be compared or trained across modalities."""
TASK_NAMES = ("ave", "avvp", "ave_avvp", "ucf_vggsound")


def model_names() -> tuple[str, ...]:
    """Names of the registered models of several modalities.

    Returns:
        Names, as in `keras_cmg.models.list_models`.

    Example:

    >>> "fcid" in model_names(), "vqvae" in model_names()
    (True, False)
    """
    import keras_cmg

    return tuple(name for name in keras_cmg.models.list_models() if name not in IMAGE_MODELS)


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of recipes.

    Args:
        help: text shown by `--help`; the default is added.
        default: value where a recipe names no other; None means "not given".
        type: type of one value.
        nargs: number of values, as in argparse; 0 for a flag.
        choices: allowed values, or a function that returns them.
        metavar: placeholder of the value in `--help`.
        setting: whether the option changes what is measured. Settings are recorded in `result.json`
            and compared by `--resume`; other options say where files are and what computes.
        minimum: smallest allowed value, included.
        above: largest value that is not allowed.
        append: whether the option may be given several times.
    """

    help: str
    default: Any = None
    type: Callable[[str], Any] = str
    nargs: int | str | None = None
    choices: Sequence[str] | Callable[[], Sequence[str]] | None = None
    metavar: str | tuple[str, ...] | None = None
    setting: bool = True
    minimum: float | None = None
    above: float | None = None
    append: bool = False


def _count(help: str, default: int | None = None, metavar: str = "N", **changes: Any) -> Option:
    return Option(help, default, int, metavar=metavar, minimum=1, **changes)


CATALOGUE: dict[str, Option] = {
    # Every recipe has these.
    "out": Option("folder to write", metavar="FOLDER", setting=False),
    "seed": Option("first seed", 0, int, setting=False, minimum=0),
    "seeds": _count("number of seeds, run one after another", 1, setting=False),
    "resume": Option("keep the seeds that an earlier run finished", False, nargs=0, setting=False),
    "dry_run": Option("check the options and print the plan", False, nargs=0, setting=False),
    "smoke": Option("run a few steps on little data", False, nargs=0, setting=False),
    "debug": Option("show the traceback of an error", False, nargs=0, setting=False),
    # Clips of one's own.
    "clips": Option(
        "folder of clips, or CSV manifest (default: none, prepared features of --data)",
        metavar="FOLDER",
    ),
    "networks": Option(
        "folder of yamnet.tflite and efficientnet_lite0.onnx (default: models/ of the download "
        "cache)",
        metavar="FOLDER",
        setting=False,
    ),
    "extractors": Option(
        "auto: pretrained networks where their files and packages are there; offline: none",
        "auto",
        choices=("auto", "offline"),
    ),
    "patience": _count("epochs without progress after which training stops", 2),
    "licence": Option("licence of the model, for its card, such as cc-by-4.0", metavar="NAME"),
    # Data.
    "data": Option("data set", "synthetic"),
    "root": Option(
        "folder of the data set; of digits, that of the raw files, downloaded if left out",
        metavar="FOLDER",
        setting=False,
    ),
    "features": Option(
        "folder of prepared features (default: OUT/features)", metavar="FOLDER", setting=False
    ),
    "num_clips": Option(
        "clips to render, read or compose, of data that are prepared here",
        {"train": 600, "val": 200, "test": 400},
        int,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        minimum=1,
    ),
    "max_clips": _count("upper limit of the clips of each split, of published data"),
    "split": Option("method of splitting prepared data (digits: official or speaker)"),
    "option": Option(
        "argument of prepared data, such as test_speaker=george",
        metavar="NAME=VALUE",
        append=True,
    ),
    "protocol": Option(
        "heldout: choose on validation clips, read test labels once; reference: as the published "
        "code, which chooses on the clips it reports",
        "heldout",
        choices=("heldout", "reference"),
    ),
    "held_out": Option(
        "tasks whose validation and test videos are left out of training under heldout (default: "
        "all whose data set is below ROOT); none may be named",
        nargs="*",
        choices=TASK_NAMES,
        metavar="TASK",
    ),
    "subset": Option("split whose clips are counted", "test", choices=SPLITS),
    # Models and their training.
    "run": Option("folder of a finished run of pretrain or quickstart", metavar="FOLDER"),
    "model": Option("model, as in keras_cmg.models.list_models()", "fcid", choices=model_names),
    "models": Option(
        "models, as in keras_cmg.models.list_models(), with a preset after a colon where it is "
        "not that of --preset",
        nargs="+",
        metavar="MODEL[:PRESET]",
    ),
    "quantizers": Option(
        "quantisers, as in recipes.training.quantizer_variants.NAMES (default: all)",
        nargs="+",
        metavar="NAME",
    ),
    "preset": Option("preset (default: that of the model)"),
    "set": Option(
        "argument of the model, dots for nesting, such as backbone.num_embeddings=512",
        metavar="NAME=VALUE",
        append=True,
    ),
    "epochs": _count("epochs of training without labels", 10),
    "batch_size": _count("clips (or images) per training step", 40),
    "learning_rate": Option("learning rate of the main Adam", 4e-4, float, above=0),
    "schedule": Option(
        "learning rate over time: constant, or cosine with a warm-up",
        "constant",
        choices=("constant", "cosine"),
    ),
    "devices": Option(
        "devices of this machine that share every training batch, or auto for all",
        "1",
        metavar="N|auto",
        setting=False,
    ),
    "cache": Option(
        "folder of trained encoders, searches and measurements, found again by content "
        "(default: OUT/cache)",
        metavar="FOLDER",
        setting=False,
    ),
    # Probes and retrieval.
    "task": Option("task of Table 1", "ave", choices=TASK_NAMES),
    "directions": Option(
        "modality to learn on and modality to test on",
        ("video:audio", "audio:video"),
        nargs="+",
        metavar="FROM:TO",
    ),
    "probe_epochs": _count("epochs of training a probe", 25),
    "toc_channels": Option(
        "numbers of dimensions that TOC keeps", (192, 128, 64), int, "+", metavar="Q", minimum=1
    ),
    "labels": Option(
        "labelled clips per class of further probes", (10, 100), int, "+", metavar="N", minimum=1
    ),
    "num_pairs": Option("clips to search among", 500, int, metavar="N", minimum=10),
    "num_codes": _count("codes whose clips a query visits", 8),
    "known_classes": _count(
        "classes that probes know; the rest are unknown (default: the smaller number of the "
        "published splits; half of the classes of other data, rounded up)"
    ),
    "class_order": Option(
        "which classes are known: listed, the first of the data set, as published; random, drawn "
        "by each seed",
        "listed",
        choices=("listed", "random"),
    ),
    "level": Option("a code per clip or per segment", "clip", choices=("clip", "segment")),
    # Ablations, comparisons, searches.
    "of": Option(
        "parts to ablate",
        ("losses", "toc", "club", "codebook"),
        nargs="+",
        choices=("losses", "toc", "club", "codebook"),
    ),
    "codebook_sizes": Option(
        "numbers of codes",
        (256, 300, 400, 512, 800, 1024),
        int,
        "+",
        metavar="H",
        minimum=1,
    ),
    "ablate": Option("preset of FCID whose changes to small are undone one at a time"),
    "trials": Option(
        "settings tried per model, the preset counted; 0 for none", 0, int, metavar="N", minimum=0
    ),
    "tuned": Option("file of settings that an earlier search chose", metavar="FILE"),
    "trial_seeds": _count("trainings per trial", 1),
    "final_seeds": _count("trainings of the preset and of the best settings", 5),
    "method": Option("method of the search", "bayesian", choices=("bayesian", "random")),
    "hyperparameters": Option(
        "hyperparameters to search (default: all of the model)", nargs="+", metavar="NAME"
    ),
    "workers": _count("processes that train at once", 1, setting=False),
    # Cost.
    "steps": _count("training steps timed at once", 5),
    "rounds": _count("number of times each model is timed", 3),
    "clock": Option(
        "processor: time of this process; wall: elapsed time, for a GPU",
        "processor",
        choices=("processor", "wall"),
    ),
    # Images.
    "num_images": Option(
        "images of each split",
        type=int,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        minimum=1,
    ),
    "side": _count("height and width of pictures of a folder, in pixels", 64),
    "imbalance": Option("images of the first class per image of the last", 1.0, float, minimum=1),
    "hidden_channels": _count("channels of the convolutions", 32),
    "num_masks": _count("random masks per share", 100),
    "masked": Option(
        "shares of masked dimensions, in per cent",
        (87.5, 75.0, 62.5, 50.0, 37.5, 25.0),
        float,
        "+",
        metavar="PERCENT",
        minimum=0,
    ),
    "variance_weight": Option("weight of variance in TOC, lambda of Eq. 22", 0.3, float),
    "generator": Option("image generator", "small", choices=("ip-adapter", "small")),
    "pipeline": Option("folder of Stable Diffusion in the layout of diffusers", metavar="FOLDER"),
    "adapter": Option("IP-Adapter file, beside its image_encoder folder", metavar="FILE"),
    "inception": Option("TorchScript file of the Inception network, for the FID", metavar="FILE"),
    "trust_inception": Option(
        "run the program in the file of --inception, with your permissions", False, nargs=0
    ),
    "generator_epochs": _count("epochs of training the small generator", 30),
    "judge_epochs": _count("epochs of training the image classifier", 15),
    "prompt_epochs": _count(
        "epochs of training the two layers (default: at most 60; 80,000 steps under reference)"
    ),
    "prompt_units": _count("units between the two layers", 512),
}

COMMON = ("out", "seed", "seeds", "resume", "dry_run", "smoke", "debug")
DATA = ("data", "root", "features", "num_clips", "max_clips", "split", "option", "protocol")
TRAINING = ("preset", "set", "epochs", "batch_size", "learning_rate", "schedule", "cache")
ENCODER = ("run", "model", *TRAINING, "held_out", "devices")
PROBES = ("probe_epochs", "toc_channels")

SMOKE: dict[str, Any] = {
    "num_clips": {"train": 20, "val": 10, "test": 20},
    "max_clips": 20,
    "epochs": 1,
    "batch_size": 10,
    "probe_epochs": 2,
}
"""Values under `--smoke` of all recipes that have these settings."""


@dataclasses.dataclass(frozen=True)
class RecipeOptions:
    """The options of one recipe.

    Args:
        names: names in `CATALOGUE`, besides `COMMON`.
        data: data sets that the recipe reads; None for a recipe without the option.
        defaults: defaults that differ from the catalogue's; a setting that is not in `names`
            is fixed at its default.
        smoke: values under `--smoke` that differ from `SMOKE`.
        by_data: data set to defaults that differ for it.
        excludes: option to others that have no effect beside it.
        requires: option to another without which it has no effect.

    Raises:
        ValueError: if a name is not in the catalogue.

    Example:

    >>> RecipeOptions(("epoch",))
    Traceback (most recent call last):
    ...
    ValueError: options must be in the catalogue. Received: ['epoch']
    """

    names: tuple[str, ...]
    data: Sequence[str] | None = None
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    smoke: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    by_data: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    excludes: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    requires: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted({*self.names, *self.defaults, *self.smoke} - set(CATALOGUE))
        if unknown:
            raise ValueError(f"options must be in the catalogue. Received: {unknown}")

    def default(self, name: str) -> Any:
        """Returns the default of an option, before the data set and `--smoke` change it.

        Args:
            name: name in the catalogue.

        Example:

        >>> RecipeOptions(("epochs",), defaults={"epochs": 8}).default("epochs")
        8
        """
        return self.defaults.get(name, CATALOGUE[name].default)


class UsageError(SystemExit):
    """The end of the program after wrong arguments.

    Args:
        code: exit code.
        text: the error message, which was printed.

    Example:

    >>> UsageError(2, "unrecognized arguments: --epoch 3").code
    2
    """

    def __init__(self, code: int | str | None, text: str) -> None:
        super().__init__(code)
        self.text = text


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the nearest word for a misspelt one.

    Example:

    >>> parser = Parser(prog="recipes")
    >>> _ = parser.add_argument("--epochs")
    >>> parser.suggestion("unrecognized arguments: --epoch 3")
    '; did you mean --epochs?'
    """

    def __init__(self, **arguments: Any) -> None:
        arguments.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        # An abbreviation would be a second name of an option.
        super().__init__(allow_abbrev=False, **arguments)

    def error(self, message: str) -> NoReturn:
        whole = message + self.suggestion(message)
        try:
            super().error(whole)
        except SystemExit as stopped:
            raise UsageError(stopped.code, whole) from None

    def suggestion(self, message: str) -> str:
        """Returns what to add to an error message.

        Args:
            message: as argparse writes it.
        """
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if unknown:
            word, known = unknown[1], list(self._option_string_actions)
        elif choice:
            word, known = choice[1], re.findall(r"[\w-]+", choice[2])
        else:
            return ""
        nearest = difflib.get_close_matches(word, known, 1)
        return f"; did you mean {nearest[0]}?" if nearest else ""


def add_options(parser: argparse.ArgumentParser, recipe: str, options: RecipeOptions) -> None:
    """Adds the options of a recipe to its parser; a value that is not given is None, but `out`.

    Args:
        parser: parser of the recipe.
        recipe: name of the recipe.
        options: its options.

    Example:

    >>> parser = Parser()
    >>> add_options(parser, "quickstart", RecipeOptions(("epochs",)))
    >>> parser.parse_args(["--epochs", "3"]).epochs, parser.parse_args([]).epochs
    (3, None)
    """
    for name in (*COMMON, *options.names):
        option = CATALOGUE[name]
        word = f"--{name.replace('_', '-')}"
        default = f"runs/{recipe}" if name == "out" else options.default(name)
        text = option.help.replace("%", "%%")
        if option.nargs == 0:
            parser.add_argument(word, action="store_true", default=None, help=text)
            continue
        if default is not None:
            text += f" (default: {_words(default)}{_of_other_data(options, name)})"
        choices = option.choices() if callable(option.choices) else option.choices
        if name == "data":
            choices = options.data
        arguments: dict[str, Any] = {"action": "append"} if option.append else {}
        if option.nargs is not None:
            arguments["nargs"] = option.nargs
        if option.metavar is not None:
            arguments["metavar"] = option.metavar
        # The folder is no setting, whose default depends on the data and on finished runs.
        arguments["default"] = default if name == "out" else None
        parser.add_argument(word, type=option.type, choices=choices, help=text, **arguments)


def _words(value: Any) -> str:
    """A default as it would be given on the command line."""
    values = value.values() if isinstance(value, Mapping) else value
    return str(value) if isinstance(value, str | int | float) else " ".join(map(str, values))


def _of_other_data(options: RecipeOptions, name: str) -> str:
    """The defaults of data sets that have others."""
    others: dict[str, list[str]] = {}
    for data, values in options.by_data.items():
        if name in values:
            others.setdefault(_words(values[name]), []).append(data)
    return "".join(f"; {', '.join(data)}: {words}" for words, data in others.items())
