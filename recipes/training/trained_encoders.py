"""Encoders for recipes: of a finished run, found in the cache, or trained without labels."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

import data_tools
import keras_cmg
from data_tools.composing.preparation import prepare_composed
from data_tools.extraction.description import save_extractors
from data_tools.io import feature_folder as layout
from data_tools.io.files import atomic_folder, read_record, sha256_file, shorten
from data_tools.published.registry import open_published
from keras_cmg.optimizers.learning_rates import scheduled_learning_rate
from keras_cmg.saved_models import load_model
from recipes.protocol.clips import CLIP_SETS, STORE, UNPAIRED, Clips, batches
from recipes.protocol.tasks import TASKS
from recipes.runner import content_cache
from recipes.runner.output_folder import RESULT
from recipes.runner.provenance import set_seed, write_json
from recipes.runner.seed_runs import Job
from recipes.runner.settings import MODEL, Settings, run_folder
from recipes.training import data_parallel

HISTORY, LABELS = "history.json", "labels.txt"
TRAINING_OPTIONS: dict[str, dict[str, Any]] = {"avvp": {"weak": True}}
"""Options of published data sets for training without labels."""
WITH_VIDEOS = ("vggsound", "valor", "ave", "avvp", "ave_avvp")
"""Data sets of YouTube videos, some of which are test videos of other data sets."""
COMPOSED = ("natural", "folders")
"""Data sets that are prepared by a command of their own, with the extractors that it names."""
ESTIMATOR_RATE = 1e-3


class Encoder(NamedTuple):
    """A trained model and how it was trained."""

    model: keras_cmg.models.Pretrainer
    history: dict[str, list[float]]
    """Log key to a value per epoch."""
    about: dict[str, Any]
    """For a result: origin, seconds of training, parameters."""

    @property
    def backbone(self) -> keras_cmg.models.Backbone:
        """The part that is frozen and probed."""
        return self.model.backbone


def open_clips(job: Job) -> Clips:
    """Opens the clips that the settings name; prepares features of raw data where needed.

    Args:
        job: a seed of a recipe.

    Returns:
        The clips.

    Raises:
        FileNotFoundError: if the folder or a raw file is missing.
        ValueError: if an option is missing, or the folder holds other features.
    """
    settings, resources = job.settings, job.resources
    if settings.data not in CLIP_SETS:
        if resources.root is None:
            raise ValueError(f"--data {settings.data} needs --root, the folder of the data set")
        return Clips(settings.data, Path(resources.root), settings.protocol, settings.max_clips)
    folder = Path(resources.features or Path(resources.out) / "features")
    run = getattr(settings, "run", None)
    if resources.features is None and run is not None:
        home = run_folder(run, job.seed)
        stored = [place / "features" for place in (home, home.parent)]
        folder = next((place for place in stored if place.is_dir()), folder)
    if settings.data == STORE:
        if not (folder / layout.SCHEMA).is_file():
            raise FileNotFoundError(
                "--data store needs --features, a store that `keras-cmg extract` wrote. "
                f"There is no {folder / layout.SCHEMA}"
            )
        return Clips(STORE, folder, settings.protocol, getattr(settings, "max_clips", None))
    own = resources.features is None and folder == Path(resources.out) / "features"
    if settings.data in COMPOSED:
        return _open_composed(settings, folder, resources.root, own)
    prepare = functools.partial(
        data_tools.prepare,
        settings.data,
        folder,
        resources.root,
        num_clips=settings.num_clips,
        split=settings.split,
        progress=True,
        **settings.option,
    )
    try:
        prepare()
    except ValueError as error:
        if not (own and (folder / layout.MANIFEST).is_file()):
            raise ValueError(f"features in {folder}: {error}") from error
        # Of an earlier run into this folder, with other settings.
        prepare(overwrite=True)
    return Clips(settings.data, folder, settings.protocol)


def _open_composed(settings: Settings, folder: Path, root: str | None, own: bool) -> Clips:
    """Opens a composed data set; one that is not prepared yet gets features of no network."""
    manifest = folder / layout.MANIFEST
    split = getattr(settings, "split", None)
    options = {**settings.option, **({} if split is None else {"split": split})}
    if own and root is not None and manifest.is_file():
        # Features of an earlier run into this folder are made again for other settings.
        made = read_record(manifest, {"arguments": {"num_clips": dict}, "options": dict})
        same = made["arguments"]["num_clips"] == settings.num_clips
        stale = not same or _different(options, made["options"]) is not None
    else:
        stale = not manifest.is_file()
    if stale:
        prepare_composed(
            settings.data,
            folder,
            root,
            num_clips=settings.num_clips,
            progress=True,
            overwrite=own,
            **options,
        )
    made = read_record(manifest, {"dataset": str, "options": dict})
    if made["dataset"] != settings.data:
        raise ValueError(
            f"--features must be a prepared folder of {settings.data}. Received: {folder}, of "
            f"{shorten(made['dataset'], 100)}"
        )
    if (name := _different(options, made["options"])) is not None:
        raise ValueError(
            f"{name}={options[name]} must be that of the preparation; {folder} has "
            f"{shorten(repr(made['options'].get(name)), 100)}"
        )
    return Clips(settings.data, folder, settings.protocol)


def _different(options: Mapping[str, Any], made: Mapping[str, Any]) -> str | None:
    """The first option that differs from that of a preparation."""
    return next((name for name, value in options.items() if made.get(name) != value), None)


def data_identity(job: Job) -> dict[str, Any]:
    """Identifies the data of a run by content, see `recipes.protocol.clips.Clips.identity`.

    Args:
        job: a seed of a recipe.
    """
    return open_clips(job).identity()


def encoder_of(job: Job, clips: Clips) -> Encoder:
    """Returns the encoder of a recipe.

    Args:
        job: a seed of a recipe.
        clips: clips to train on, where no run is given.

    Returns:
        The encoder: that of the run, the same as trained before, or trained now.

    Raises:
        ValueError: if no model can be trained on the data.
    """
    settings = job.settings
    if getattr(settings, "run", None) is not None:
        folder = run_folder(settings.run, job.seed)
        about = {"run": str(folder), "sha256": sha256_file(folder / MODEL)}
        theirs = read_record(folder / RESULT, {"seed?": int, "train_seconds?": float})
        about |= {key: theirs[key] for key in ("seed", "train_seconds") if key in theirs}
        return _load(folder, about)
    if settings.data in UNPAIRED:
        raise ValueError(
            f"--data {settings.data} needs --run: its clips have one modality each, so that no "
            "model can be trained on them"
        )
    identity = encoder_identity(settings, clips, job.seed)
    folder = job.cache / "encoders" / content_cache.key(identity)
    if (folder / MODEL).is_file():
        kept = read_record(folder / RESULT, {"identity": dict, "about": dict})
        if kept["identity"] == identity:
            return _load(folder, kept["about"])
    encoder = train_new(job, clips)
    with atomic_folder(folder) as temporary:
        save(encoder, clips, temporary)
        write_json(temporary / RESULT, {"about": encoder.about, "identity": identity})
    return encoder


def encoder_identity(settings: Settings, clips: Clips, seed: int) -> dict[str, Any]:
    """Returns all that decides the weights of an encoder, by content.

    Args:
        settings: settings of the training.
        clips: clips to train on.
        seed: seed of the training.

    Returns:
        Dict of types of JSON.
    """
    names = ("model", "preset", "set", "epochs", "batch_size", "learning_rate", "schedule")
    videos = sorted(held_out_videos(clips, held_out_tasks(settings)))
    return content_cache.with_code(
        {
            **{name: getattr(settings, name) for name in names},
            "seed": seed,
            "clips": clips.identity(),
            "held_out": hashlib.sha256(" ".join(videos).encode()).hexdigest(),
        }
    )


def train_new(job: Job, clips: Clips) -> Encoder:
    """Trains an encoder without looking into the cache.

    Args:
        job: a seed of a recipe.
        clips: clips to train on.

    Returns:
        The encoder.
    """
    settings = job.settings
    videos = held_out_videos(clips, held_out_tasks(settings))
    payload: dict[str, Any] = {
        "settings": dict(vars(settings)),
        "clips": {**clips._asdict(), "root": str(clips.root)},
        "seed": job.seed,
        "held_out": sorted(videos),
    }
    devices = 1
    if getattr(job.resources, "devices", "1") == "1":
        model, record = train(**payload)
    else:
        devices = data_parallel.count_devices(job.resources.devices, settings.batch_size)
        model, record = data_parallel.train_over(train, payload, devices)
    about = {
        "seed": job.seed,
        "devices": devices,
        "train_seconds": round(record["seconds"], 2),
        "clips_unreadable": record["missing"],
        "videos_held_out": len(videos),
        "parameters": count_parameters(model),
    }
    return Encoder(model, record["history"], about)


def count_parameters(model: keras_cmg.models.Pretrainer) -> dict[str, int]:
    """Counts the parameters of a model, and of the part that is kept frozen.

    Args:
        model: built.

    Returns:
        Dict of `model` and `backbone`.
    """
    return {"model": model.count_params(), "backbone": model.backbone.count_params()}


def train(
    settings: Mapping[str, Any], clips: Mapping[str, Any], seed: int, held_out: Sequence[str]
) -> tuple[keras_cmg.models.Pretrainer, dict[str, Any]]:
    """Trains a model in this process; the arguments are types of JSON.

    Args:
        settings: settings of the training.
        clips: fields of `Clips`.
        seed: seed of initial weights, dropout and order.
        held_out: ids of videos that are not trained on.

    Returns:
        The model, and a dict of `history`, `seconds` and `missing`, the clips that could not be
        read.
    """
    chosen, source = Settings(**settings), Clips(**{**clips, "root": Path(clips["root"])})
    model = new_model(chosen, source.modalities(), seed)
    missing: list[int] = []
    training = training_batches(source, chosen.batch_size, seed, model, missing.append, held_out)
    options = TRAINING_OPTIONS.get(source.data, {})
    validation = None
    if source.has("val", **options):
        names = model.backbone.modalities
        if len(source.select("val", names, **options).examples) >= chosen.batch_size:
            validation = batches(
                source, "val", names, chosen.batch_size, seed, False, missing.append, **options
            )
    compile_model(model, chosen, len(training) * chosen.epochs)
    start = time.perf_counter()
    history = model.fit(
        training,
        validation_data=validation,
        epochs=chosen.epochs,
        shuffle=False,
    )
    seconds = time.perf_counter() - start
    return model, {"history": history.history, "seconds": seconds, "missing": sum(missing)}


def training_batches(
    clips: Clips,
    batch_size: int,
    seed: int,
    model: keras_cmg.models.Pretrainer,
    report_missing: Any = lambda missing: None,
    held_out: Sequence[str] = (),
) -> Any:
    """Returns the training batches of a model, shuffled every epoch.

    Args:
        clips: clips to train on.
        batch_size: clips per step.
        seed: seed of the order.
        model: model to train.
        report_missing: called with the number of clips that could not be read.
        held_out: ids of videos that are not trained on.

    Returns:
        The batches.
    """
    options: dict[str, Any] = dict(TRAINING_OPTIONS.get(clips.data, {}))
    if held_out:
        options["exclude"] = frozenset(held_out)
    names = model.backbone.modalities
    return batches(clips, "train", names, batch_size, seed, True, report_missing, **options)


def new_model(
    settings: Settings, modalities: Sequence[str], seed: int
) -> keras_cmg.models.Pretrainer:
    """Creates the model that the settings name, not trained and not compiled.

    Args:
        settings: with `model`, `preset` and `set`.
        modalities: modalities of the data.
        seed: seed of initial weights and dropout.

    Returns:
        The model.

    Raises:
        ValueError: if there is one modality only, or an argument of `set` is wrong.

    Example:

    >>> settings = Settings(model="dcid", preset=None, set={})
    >>> new_model(settings, ("audio", "text"), 0).backbone.modalities
    ('audio', 'text')
    """
    if len(modalities) < 2:
        raise ValueError(
            "Training across modalities must have clips of two modalities. Received: "
            f"{', '.join(modalities) or 'none'}"
        )
    set_seed(seed)
    try:
        return keras_cmg.models.create_model(
            settings.model, settings.preset, tuple(modalities), seed, **settings.set
        )
    except (TypeError, ValueError) as error:
        unknown = isinstance(error, TypeError) or "Unrecognized keyword" in str(error)
        if not settings.set or not unknown:
            raise
        given = ", ".join(settings.set)
        raise ValueError(
            f"--set must hold arguments of {settings.model}. Received: {given}; {shorten(error)}"
        ) from error


def compile_model(model: keras_cmg.models.Pretrainer, settings: Settings, steps: int) -> None:
    """Compiles a model with the optimisers of all recipes.

    Args:
        model: model to train.
        settings: with `learning_rate` and `schedule`.
        steps: steps of the whole training.
    """
    rate = scheduled_learning_rate(settings.learning_rate, settings.schedule, steps)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=1.0), keras.optimizers.Adam(ESTIMATOR_RATE)
    )


def save(
    encoder: Encoder,
    clips: Clips,
    folder: Path,
    paths: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Writes model, history, extractors and labels, as `--run` and `keras_cmg.load` read them.

    Args:
        encoder: the encoder.
        clips: clips that it was trained on.
        folder: folder to write into.
        paths: modality to option to path of a model file of an extractor on this machine.
    """
    encoder.model.save(folder / MODEL)
    write_json(folder / HISTORY, encoder.history)
    if clips.prepared:
        save_extractors(clips.root, folder, paths)
    categories = clips.categories()
    if categories:
        (folder / LABELS).write_text("\n".join(categories) + "\n", encoding="utf-8")


def read_history(path: Path) -> dict[str, list[float]]:
    """Reads the history of a training.

    Args:
        path: the file.

    Returns:
        Log key to a value per epoch.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged.

    Example:

    >>> _ = Path("history.json").write_text('{"loss": [2.5, 1.5]}')
    >>> read_history(Path("history.json"))
    {'loss': [2.5, 1.5]}
    """
    return read_record(path, {str: [float]})


def held_out_tasks(settings: Settings) -> tuple[str, ...] | None:
    """Returns the tasks whose validation and test videos are not trained on.

    Args:
        settings: with `data` and, where the recipe has the option, `held_out`.

    Returns:
        Names of tasks; None for every task whose data set is there.

    Example:

    >>> held_out_tasks(Settings(data="clotho", held_out=None))
    ()
    """
    named = getattr(settings, "held_out", ())
    if named is None:
        return None if settings.data in WITH_VIDEOS else ()
    return tuple(named)


def held_out_videos(clips: Clips, tasks: Sequence[str] | None = None) -> frozenset[str]:
    """Returns the videos that probes are chosen or tested on, which must not be trained on.

    A caption of VGGSound names the class of its clip, and the data sets share videos.

    Args:
        clips: clips to train on.
        tasks: tasks of Table 1 that are evaluated; None for every task of whose data set any
            annotation file is below the same folder.

    Returns:
        Ids of the videos of "val" and "test" of the tasks; none under the protocol "reference",
        and none of prepared data, whose splits share no clip.

    Raises:
        FileNotFoundError: if an annotation file of a task is missing, so that its videos are
            unknown.
        ValueError: if an annotation file is damaged.
    """
    if clips.prepared or clips.protocol != "heldout":
        return frozenset()
    videos: set[str] = set()
    for task in (TASKS[name] for name in (TASKS if tasks is None else tasks)):
        for options in task.options.values() or ({},):
            opened = open_published(task.name, clips.root, **options)
            if tasks is None and not opened.is_present():
                continue
            try:
                splits = opened.split_names()
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f"{error}: the test videos of {task.name} cannot be left out of training. Add "
                    "the file, or name the tasks that will be tested by --held-out"
                ) from error
            for split in {"val", "test"} & set(splits):
                videos |= opened.groups(split)
    return frozenset(videos)


def _load(folder: Path, about: dict[str, Any]) -> Encoder:
    return Encoder(load_model(folder / MODEL), read_history(folder / HISTORY), about)
