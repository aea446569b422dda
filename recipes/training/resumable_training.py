"""Training that stops early, keeps its best epoch, and goes on after an interruption."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import keras

import keras_cmg
from data_tools.io.files import atomic_file, read_record, reading
from recipes.protocol.clips import Clips, batches
from recipes.runner import content_cache
from recipes.runner.provenance import write_json
from recipes.runner.settings import Settings
from recipes.training.best_epoch import within_modality
from recipes.training.trained_encoders import (
    Encoder,
    compile_model,
    count_parameters,
    new_model,
)

STATE, BEST = "state.json", "best.keras"
PROBES, LOSS, NONE = "probes within modalities", "validation loss", "none"
KEPT = {
    **{"epochs": int, "best": int, "scores": [float], "history": {str: [float]}},
    **{"seconds": float, "finished": bool, "latest": str},
}
"""Form of the state of a training."""
TRAINING = (
    *("model", "preset", "set", "epochs", "patience"),
    *("batch_size", "learning_rate", "schedule"),
)
"""Settings that decide the weights."""


def train_with_early_stopping(settings: Settings, clips: Clips, seed: int, cache: Path) -> Encoder:
    """Trains a model until its validation clips show no progress; goes on where it was stopped.

    After each epoch the model, its optimisers and the scores are kept below `cache`. With labels,
    an epoch is scored by probes within each modality (see `BestEpoch`); without, by the loss on
    validation clips; without validation clips, all epochs are trained and the last one is kept.

    Args:
        settings: with `TRAINING`.
        clips: training and, if there are enough, validation clips.
        seed: seed of weights, dropout and order.
        cache: folder to keep the state of trainings in.

    Returns:
        The encoder with the weights of its best epoch. Its `about` has `epoch`, `criterion` and
        `scores` besides the usual entries.

    Raises:
        ValueError: if a setting is wrong, or there is not one whole batch.
    """
    identity = content_cache.with_code(
        {
            **{name: getattr(settings, name) for name in TRAINING},
            "seed": seed,
            "clips": clips.identity(),
        }
    )
    folder = cache / "training" / content_cache.key(identity)
    progress = _Progress(settings, clips, folder)
    if not progress.finished:
        if progress.epochs:
            model = progress.continued()
        else:
            model = new_model(settings, clips.modalities(), seed)
            folder.mkdir(parents=True, exist_ok=True)
        _fit(model, settings, clips, seed, progress)
    with reading(folder / BEST, "be a Keras model"):
        best = keras.saving.load_model(folder / BEST, compile=False)
    about = {
        "seed": seed,
        "devices": 1,
        "train_seconds": round(progress.seconds, 2),
        "clips_unreadable": 0,
        "videos_held_out": 0,
        "epoch": progress.best,
        "epochs_trained": progress.epochs,
        "criterion": progress.criterion,
        "scores": progress.scores,
        "parameters": count_parameters(best),
    }
    return Encoder(best, progress.history, about)


def _fit(
    model: keras_cmg.models.Pretrainer,
    settings: Settings,
    clips: Clips,
    seed: int,
    progress: _Progress,
) -> None:
    names = model.backbone.modalities
    training = batches(
        clips, "train", names, settings.batch_size, seed, True, first_epoch=progress.epochs
    )
    validation = None
    if progress.criterion != NONE:
        validation = batches(clips, "val", names, progress.val_batch, seed, False)
    if not progress.epochs:
        compile_model(model, settings, len(training) * settings.epochs)
    model.fit(
        training,
        validation_data=validation,
        initial_epoch=progress.epochs,
        epochs=settings.epochs,
        shuffle=False,
        callbacks=[progress],
    )


class _Progress(keras.callbacks.Callback):
    """What a training has reached, kept in a folder after each epoch."""

    def __init__(self, settings: Settings, clips: Clips, folder: Path) -> None:
        super().__init__()
        self.settings, self.clips, self.folder = settings, clips, folder
        self.criterion, self.val_batch = _criterion(clips, settings.batch_size)
        self.epochs = self.best = 0
        self.scores: list[float] = []
        self.history: dict[str, list[float]] = {}
        self.seconds, self.finished, self.latest, self.stopped = 0.0, False, "", ""
        if (folder / STATE).is_file():
            kept = read_record(folder / STATE, KEPT)
            self.epochs, self.best = kept["epochs"], kept["best"]
            self.scores, self.history = kept["scores"], kept["history"]
            self.seconds, self.finished = kept["seconds"], kept["finished"]
            self.latest = kept["latest"]

    def continued(self) -> keras_cmg.models.Pretrainer:
        """The model after the last epoch that was kept."""
        print(f"going on after epoch {self.epochs} of {self.settings.epochs}", flush=True)
        with reading(self.folder / STATE, "name the model of the last epoch"):
            return keras.saving.load_model(self.folder / self.latest)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds += time.perf_counter() - self._start
        self.epochs = epoch + 1
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(float(value))
        self.scores.append(self._score(logs or {}))
        better = not self.best or self.scores[-1] >= max(self.scores)
        if better:
            self.best = self.epochs
        waited = self.epochs - self.best
        stop = self.criterion != NONE and waited >= self.settings.patience
        self.finished = stop or self.epochs >= self.settings.epochs
        self._keep(better)
        if stop:
            self.stopped = f"no progress for {waited} epochs: epoch {self.best} is kept"
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        # After the line of the last epoch.
        if self.stopped:
            print(self.stopped, flush=True)

    def _score(self, logs: Any) -> float:
        if self.criterion == PROBES:
            return within_modality(self.model.backbone, self.clips)
        if self.criterion == LOSS:
            return -float(logs["val_loss"])
        return float(self.epochs)

    def _keep(self, better: bool) -> None:
        earlier, self.latest = self.latest, f"epoch{self.epochs}.keras"
        if better or not self.finished:
            with atomic_file(self.folder / self.latest) as scratch:
                self.model.save(scratch)
        if better:
            with atomic_file(self.folder / BEST) as scratch:
                shutil.copyfile(self.folder / self.latest, scratch)
        state = {name: getattr(self, name) for name in KEPT}
        # Names the file that was written before it; the earlier one is read until then.
        write_json(self.folder / STATE, state)
        for name in (earlier, self.latest if self.finished else ""):
            if name:
                (self.folder / name).unlink(missing_ok=True)


def _criterion(clips: Clips, batch_size: int) -> tuple[str, int]:
    """How epochs are scored, and the size of validation batches."""
    if not clips.has("val"):
        return NONE, 0
    names = clips.modalities()
    count = len(clips.select("val", names).examples)
    if clips.categories() and count > 1:
        return PROBES, min(batch_size, count)
    # Losses of few clips against each other tell little.
    return (LOSS, min(batch_size, count)) if count >= 8 else (NONE, 0)
