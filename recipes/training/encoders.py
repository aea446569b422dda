"""An encoder for a recipe: of a finished run, found in a cache, or trained now without labels."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import keras

import data_tools
import keras_cmg
from data_tools.io.files import atomic_folder, read_json, sha256_file
from data_tools.published.registry import open_published
from keras_cmg.models.base.presets import merged
from recipes.protocol import clips
from recipes.protocol.tasks import TASKS
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.progress import EpochLine
from recipes.training import training_settings as training
from recipes.training.training_settings import HISTORY, MODEL, UNPAIRED, Training

OPTIONS: dict[str, dict[str, Any]] = {"avvp": {"weak": True}}
"""Of published data sets, where training without labels reads others than a probe does."""


class Pretrained(NamedTuple):
    """A trained system, and how it came about."""

    model: keras_cmg.models.Pretrainer
    history: dict[str, list[float]]
    """Log key to a value per epoch."""
    about: dict[str, Any]
    """For a result: where from, seconds of training, parameters."""

    @property
    def backbone(self) -> keras_cmg.models.Backbone:
        """What is frozen and probed."""
        return self.model.backbone


def open_clips(options: argparse.Namespace, chosen: Training, prepare: bool = True) -> clips.Clips:
    """The clips that the settings name; features are prepared where that is needed.

    Args:
        options: of the command line.
        chosen: settings.
        prepare: whether to prepare features of raw data.

    Returns:
        The clips.

    Raises:
        ValueError: the folder is missing or holds something else.
    """
    found = clips.Clips(chosen.data, Path(options.root or "."), chosen.protocol, chosen.max_clips)
    if not found.prepared:
        if options.root is None:
            raise ValueError(f"--data {chosen.data} needs --root, the folder of the data set")
        return found
    folder = Path(options.features or Path(options.out) / "features")
    if options.features is None and chosen.run is not None:
        home = training.run_folder(chosen.run, options.seed)
        stored = [place / "features" for place in (home, home.parent)]
        folder = next((place for place in stored if place.is_dir()), folder)
    try:
        data_tools.prepare(
            chosen.data, folder, options.root, num_clips=chosen.num_clips, progress=True
        )
    except ValueError as error:
        raise ValueError(f"features in {folder}: {error}") from error
    return clips.Clips(chosen.data, folder, chosen.protocol)


def pretrained(
    options: argparse.Namespace, chosen: Training, source: clips.Clips, seed: int
) -> Pretrained:
    """The encoder of a recipe.

    Args:
        options: of the command line.
        chosen: settings.
        source: clips to train on, where no run is given.
        seed: of initial weights, dropout and order.

    Returns:
        The encoder: that of the run; the same as trained before; or trained now.

    Raises:
        ValueError: the data cannot serve for training.
    """
    if chosen.run is not None:
        folder = training.run_folder(chosen.run, seed)
        about = {"run": str(folder), "sha256": sha256_file(folder / MODEL)}
        theirs = read_json(folder / RESULT)
        about |= {key: theirs[key] for key in ("seed", "train_seconds") if key in theirs}
        return _load(folder, about)
    if chosen.data in UNPAIRED:
        raise ValueError(
            f"--data {chosen.data} needs --run: its clips are seen or heard, and nothing can be "
            "learned across modalities from them"
        )
    identity = _identity(chosen, source, seed)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(options.models or Path(options.out) / "models") / digest
    if (folder / MODEL).is_file():
        return _load(folder, read_json(folder / RESULT))
    made = train_new(chosen, source, seed)
    with atomic_folder(folder) as temporary:
        save(made, temporary)
        provenance.write_json(temporary / RESULT, {**made.about, "identity": identity})
    return made


def train_new(chosen: Training, source: clips.Clips, seed: int) -> Pretrained:
    """Trains an encoder, whatever there is already.

    Args:
        chosen: settings.
        source: clips to train on.
        seed: of initial weights, dropout and order.

    Returns:
        The encoder.
    """
    model = create(chosen, seed)
    history, seconds, missing = train(model, source, chosen, seed)
    about = {
        "seed": seed,
        "train_seconds": round(seconds, 2),
        "clips_unreadable": missing,
        "videos_held_out": len(evaluated(source)),
        "parameters": {"model": model.count_params(), "backbone": model.backbone.count_params()},
    }
    return Pretrained(model, history, about)


def save(made: Pretrained, folder: Path) -> None:
    """Writes model and history, as a run that other recipes take.

    Args:
        made: the encoder.
        folder: to write into.
    """
    made.model.save(folder / MODEL)
    provenance.write_json(folder / HISTORY, made.history)


def _load(folder: Path, about: dict[str, Any]) -> Pretrained:
    model = keras.saving.load_model(folder / MODEL, compile=False)
    return Pretrained(model, read_json(folder / HISTORY), about)


def _identity(chosen: Training, source: clips.Clips, seed: int) -> dict[str, Any]:
    """All that decides the weights of an encoder."""
    names = ("data", "epochs", "batch_size", "learning_rate", "system", "preset", "model")
    return provenance.plain(
        {
            **{name: getattr(chosen, name) for name in names},
            "seed": seed,
            "clips": source.identity(),
            "held_out": hashlib.sha256(" ".join(sorted(evaluated(source))).encode()).hexdigest(),
            "versions": provenance.versions(),
        }
    )


def create(chosen: Training, seed: int, **overrides: Any) -> keras_cmg.models.Pretrainer:
    """A system as the settings name it, not trained.

    Args:
        chosen: settings.
        seed: of the initial weights and of dropout.
        overrides: further arguments of the system.

    Returns:
        The model, not compiled.

    Example:

    >>> create(Training(system="dcid", data="clotho"), 0).backbone.modalities
    ('audio', 'text')
    """
    provenance.set_seed(seed)
    return keras_cmg.models.create_model(
        chosen.system,
        chosen.preset,
        clips.modalities_of(chosen.data),
        seed,
        **merged(chosen.model, overrides),
    )


def train(
    model: keras_cmg.models.Pretrainer, source: clips.Clips, chosen: Training, seed: int
) -> tuple[dict[str, list[float]], float, int]:
    """Trains without labels.

    Args:
        model: a system, not compiled.
        source: the clips.
        chosen: settings.
        seed: of the order of the clips.

    Returns:
        The logs of every epoch, the seconds it took, and the clips that could not be read.
    """
    names, extra = model.backbone.modalities, OPTIONS.get(source.data, {})
    missing: list[int] = []
    held_out = evaluated(source)
    unlabelled = clips.batches(
        source,
        "train",
        names,
        chosen.batch_size,
        seed,
        True,
        missing.append,
        **extra,
        **({"exclude": held_out} if held_out else {}),
    )
    validation = None
    if _count(source, "val", names, extra) >= chosen.batch_size:
        validation = clips.batches(
            source, "val", names, chosen.batch_size, seed, False, missing.append, **extra
        )
    model.compile(
        keras.optimizers.Adam(chosen.learning_rate, global_clipnorm=1.0),
        keras.optimizers.Adam(1e-3),
    )
    start = time.perf_counter()
    shown = ("loss", "val_loss", "val_perplexity", "val_code_agreement")
    history = model.fit(
        unlabelled,
        validation_data=validation,
        epochs=chosen.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[EpochLine(shown)],
    )
    return history.history, time.perf_counter() - start, sum(missing)


def evaluated(source: clips.Clips) -> frozenset[str]:
    """Videos that probes are chosen or tested on, which training without labels must not see.

    A caption of VGGSound says the class of its clip, and the data sets share videos.

    Args:
        source: the clips to train on.

    Returns:
        Ids of the videos of "val" and "test" of every task of Table 1 whose annotations lie below
        the same folder; none under the protocol "reference", and none of prepared data, whose
        splits share no clip.

    Raises:
        FileNotFoundError: if a task lacks some of its annotation files.
        ValueError: if an annotation file is damaged.
    """
    if source.prepared or source.protocol != "heldout":
        return frozenset()
    videos: set[str] = set()
    for task in TASKS.values():
        for options in task.options.values() or ({},):
            opened = open_published(task.name, source.root, **options)
            # A data set of which no file is here is not tested here. One that is incomplete raises
            # an error: its videos could not be held out.
            if opened.is_present():
                for split in {"val", "test"} & set(opened.split_names()):
                    videos |= opened.groups(split)
    return frozenset(videos)


def _count(source: clips.Clips, split: str, names: tuple[str, ...], extra: dict[str, Any]) -> int:
    """Clips of a split; 0 where a data set does not have it."""
    if split not in source.split_names(**extra):
        return 0
    return len(source.select(split, names, **extra).examples)
