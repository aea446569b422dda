"""One model on one seed: trained without labels, then tested on known and unknown classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from recipes.protocol import clip_views, open_set
from recipes.protocol.clip_probes import ClipVectors
from recipes.protocol.clips import Clips, clip_classes, modalities_of
from recipes.protocol.cross_modal_probes import EncodedClips
from recipes.protocol.tasks import TASKS
from recipes.runner import content_cache
from recipes.runner.settings import Settings
from recipes.training import model_measurement
from recipes.training.trained_encoders import compile_model, new_model, training_batches

MEASURED = ("model", "preset", "set", "learning_rate", "schedule", "epochs", "batch_size")
"""Settings that decide a measurement."""


def cached_measurement(
    cache: Path,
    settings: Settings,
    clips: Clips,
    seed: int,
    known: Sequence[int],
    workers: int = 1,
) -> dict[str, Any]:
    """Returns what `measure` measures, from the cache or measured now in a process of its own.

    Args:
        cache: folder of the cache.
        settings: settings with `MEASURED`.
        clips: clips to train and test on.
        seed: seed of the training.
        known: known classes.
        workers: measurements that run at once, between which the cores are divided.

    Returns:
        What `measure` returns.

    Raises:
        ValueError: if the measurement fails.
    """
    request = {
        "settings": {name: getattr(settings, name) for name in MEASURED},
        "clips": {**clips._asdict(), "root": str(clips.root)},
        "seed": seed,
        "known": [int(category) for category in known],
    }
    identity = content_cache.with_code({**request, "clips": clips.identity()})
    return content_cache.remembered(
        cache / "open_set", identity, lambda: model_measurement.isolated(request, workers, measure)
    )


def measure(
    settings: Mapping[str, Any], clips: Mapping[str, Any], seed: int, known: Sequence[int]
) -> dict[str, Any]:
    """Trains a model, and tests probes on its codes after every epoch.

    The model is trained without labels on clips of all classes, as the published one is.

    Args:
        settings: settings with `MEASURED`.
        clips: fields of `Clips`.
        seed: seed of weights, dropout and order.
        known: known classes.

    Returns:
        `epochs`, what `recipes.protocol.open_set.evaluate` returns after every epoch.

    Raises:
        ValueError: if a setting is wrong, or training fails.
    """
    chosen, source = Settings(**settings), Clips(**{**clips, "root": Path(clips["root"])})
    model = new_model(chosen, source.modalities(), seed)
    batches = training_batches(source, chosen.batch_size, seed, model)
    compile_model(model, chosen, len(batches) * chosen.epochs)
    tested = OpenSetEpochs(source, known)
    model.fit(batches, epochs=chosen.epochs, shuffle=False, verbose=0, callbacks=[tested])
    return {"epochs": tested.found}


class OpenSetEpochs(keras.callbacks.Callback):
    """Tests probes on known and unknown classes after every epoch.

    Args:
        clips: training, validation and test clips, with labels.
        known: known classes.

    Example:

    >>> OpenSetEpochs(Clips("synthetic", "features"), [0, 1]).found
    []
    """

    def __init__(self, clips: Clips, known: Sequence[int]) -> None:
        super().__init__()
        self.clips, self.known = clips, known
        self.found: list[dict[str, Any]] = []
        """What `measured_codes` returns, per epoch."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(measured_codes(self.model.backbone, self.clips, self.known))


def measured_codes(backbone: Any, clips: Clips, known: Sequence[int]) -> dict[str, Any]:
    """Tests probes on the codes of a trained encoder.

    Args:
        backbone: the encoder.
        clips: training, validation and test clips, with labels.
        known: known classes.

    Returns:
        What `recipes.protocol.open_set.evaluate` returns.

    Raises:
        ValueError: if a split has no clips of known classes, or "test" none of unknown ones.
    """
    encoded = EncodedClips(backbone, clips)
    options = TASKS[clips.data].options if clips.data in TASKS else {}
    number = clip_views.num_embeddings(backbone)
    splits: dict[str, dict[str, open_set.OpenSetClips]] = {}
    for split in ("train", "val", "test"):
        splits[split] = {}
        for name in backbone.modalities:
            if name not in modalities_of(clips.data):
                # Codes of a modality that the data set lacks cannot be tested.
                continue
            of = encoded.encoded(split, name, **options.get(name, {}))
            views = clip_views.views_of(of, number)
            classes = clip_classes(of.labels)
            present = np.ones(len(classes), bool) if of.mask is None else of.mask.any(axis=1)
            codes = ClipVectors(views[clip_views.CODES], classes, np.asarray(present))
            splits[split][name] = open_set.OpenSetClips(codes, views.get(clip_views.IDENTITIES))
    return open_set.evaluate(splits, np.asarray(known), len(clips.categories()))
