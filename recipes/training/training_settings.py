"""Settings of training without labels, which every recipe shares that needs an encoder."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from data_tools.io.files import read_json
from data_tools.published.registry import PUBLISHED_DATASETS
from keras_cmg.models.base.presets import merged
from recipes.protocol import clips
from recipes.runner import assignments, settings
from recipes.runner.output import RESULT

MODEL, HISTORY = "model.keras", "history.json"
NUM_CLIPS = {"train": 600, "val": 200, "test": 400}
UNPAIRED = ("ucf_vggsound",)
"""Data sets whose clips have one modality each, so that nothing can be learned across them."""
PUBLISHED = sorted(set(PUBLISHED_DATASETS) - {"celeba_hq", *UNPAIRED})
"""Published data sets that an encoder can be trained on."""
SMOKE: dict[str, Any] = {
    "num_clips": {"train": 20, "val": 10, "test": 20},
    "max_clips": 20,
    "epochs": 1,
    "batch_size": 10,
}


@dataclasses.dataclass
class Training:
    """What an encoder is trained on, and how; settings of every recipe that needs one."""

    data: str = "synthetic"
    protocol: str = "heldout"
    num_clips: dict[str, int] = dataclasses.field(default_factory=lambda: dict(NUM_CLIPS))
    max_clips: int | None = None
    run: str | None = None
    system: str = "fcid"
    preset: str | None = None
    """The default of the system if None, of each where there are several."""
    epochs: int = 10
    batch_size: int = 40
    learning_rate: float = 4e-4
    model: dict[str, Any] = dataclasses.field(default_factory=dict)


OF_IMAGES = ("vqvae",)
OF_A_RUN = ("system", "preset", "epochs", "batch_size", "learning_rate", "model")
"""Settings that a finished run brings along."""


def add_arguments(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Adds the options that say which encoder is used.

    Args:
        parser: of a recipe.
        several: whether the recipe trains several systems and takes no finished run.
    """
    if not several:
        parser.add_argument("--run", help="folder of a finished run of pretrain or quickstart")
        parser.add_argument(
            "--model",
            dest="system",
            choices=systems(),
            help="system to train where no run is given (default: fcid)",
        )
    parser.add_argument("--models", help="folder of trained encoders (default: OUT/models)")
    parser.add_argument("--preset", help="of the system (default: plus of fcid, small of others)")
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="argument of the system, dots for nesting: --set backbone.num_embeddings=512",
    )
    parser.add_argument("--epochs", type=int, help="of training without labels")
    parser.add_argument("--batch-size", type=int, help="clips per step")
    parser.add_argument("--learning-rate", type=float, help="of the main Adam")


def systems() -> tuple[str, ...]:
    """Systems that train across modalities; the VQ-VAE is of images alone.

    Returns:
        Names in the registry.

    Example:

    >>> "fcid" in systems(), "vqvae" in systems()
    (True, False)
    """
    return tuple(name for name in keras_cmg.models.list_models() if name not in OF_IMAGES)


def settings_of(defaults: Any, options: argparse.Namespace, smoke: Mapping[str, Any]) -> Any:
    """Settings of a recipe: defaults, those of `--smoke`, those of a run, the options given.

    Args:
        defaults: a `Training`, or a dataclass with more fields.
        options: of the command line.
        smoke: further fields that `--smoke` sets.

    Returns:
        The same dataclass, checked.

    Raises:
        FileNotFoundError: the run is not there.
        ValueError: an option is wrong, or contradicts the run.
    """
    if isinstance(getattr(options, "num_clips", None), list):
        options.num_clips = dict(zip(("train", "val", "test"), options.num_clips, strict=True))
    chosen = settings.resolve(defaults, options, {**SMOKE, **smoke})
    if chosen.run is not None:
        given = [name for name in OF_A_RUN if getattr(options, name, None) is not None]
        if given or getattr(options, "set", None):
            raise ValueError(
                f"--run brings its own settings; leave out: {', '.join([*given, 'set'][:3])}"
            )
        theirs = run_settings(run_folder(chosen.run, options.seed))
        brought = {name: theirs[name] for name in OF_A_RUN if name in theirs}
        if clips.Clips(chosen.data, Path()).prepared and theirs["data"] == chosen.data:
            brought["num_clips"] = theirs["num_clips"]
        chosen = dataclasses.replace(chosen, **brought)
    settings.check_positive(chosen, ("epochs", "batch_size", "learning_rate"))
    if chosen.max_clips is not None:
        settings.check_positive(chosen, ("max_clips",))
    several = getattr(chosen, "systems", None)
    if several is None and chosen.preset is None:
        default = keras_cmg.models.get_model_class(chosen.system).default_preset
        chosen = dataclasses.replace(chosen, preset=default)
    check_preset(chosen.preset, (chosen.system,) if several is None else several)
    changed = merged(chosen.model, assignments.nested(getattr(options, "set", None) or []))
    return dataclasses.replace(chosen, model=changed)


def check_preset(preset: str | None, names: Sequence[str]) -> None:
    """Refuses a preset that a system does not have.

    Args:
        preset: its name; None for the default one of each.
        names: of systems.

    Raises:
        ValueError: naming the system and its presets.

    Example:

    >>> check_preset("plus", ["dcid"])
    Traceback (most recent call last):
    ...
    ValueError: --preset of dcid must be one of ['paper', 'reference', 'small']; received: 'plus'
    """
    for name in names:
        presets = keras_cmg.models.get_model_class(name).presets
        if preset is not None and preset not in presets:
            raise ValueError(
                f"--preset of {name} must be one of {sorted(presets)}; received: {preset!r}"
            )


def run_folder(run: str, seed: int) -> Path:
    """Folder of a finished run: of the same seed where it has several.

    Args:
        run: folder.
        seed: which one is wanted.

    Returns:
        The folder that holds the model.

    Raises:
        FileNotFoundError: there is no model.
    """
    for folder in (Path(run) / f"seed{seed}", Path(run)):
        if (folder / MODEL).is_file():
            return folder
    raise FileNotFoundError(f"--run must hold {MODEL}, or seed{seed}/{MODEL}; received: {run}")


def run_settings(folder: Path) -> dict[str, Any]:
    """Settings that a finished run was made with.

    Args:
        folder: that holds its result and its model.

    Returns:
        Name to value.
    """
    return read_json(folder / RESULT)["settings"]
