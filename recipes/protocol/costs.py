"""What a training step costs: time of several systems in turns, memory of one."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from typing import Any

import keras

import keras_cmg
from benchmarks.measuring import PeakMemory, device_gigabytes, seconds_in_turns
from recipes.protocol import clips
from recipes.training import encoders as pretraining
from recipes.training.training_settings import Training

TOC_CHANNELS = 128


def compiled(
    chosen: Training, source: clips.Clips, seed: int
) -> tuple[keras_cmg.models.Pretrainer, dict[str, Any]]:
    """A system ready to train, and its first batch.

    Args:
        chosen: settings.
        source: the clips.
        seed: of weights and order.

    Returns:
        The model and the batch.
    """
    model = pretraining.create(chosen, seed)
    model.compile(
        keras.optimizers.Adam(chosen.learning_rate, global_clipnorm=1.0),
        keras.optimizers.Adam(1e-3),
    )
    extra = pretraining.OPTIONS.get(source.data, {})
    names = model.backbone.modalities
    (batch,) = clips.batches(source, "train", names, chosen.batch_size, seed, True, **extra)[0]
    return model, batch


def train_steps(model: keras_cmg.models.Pretrainer, batch: dict[str, Any], steps: int) -> float:
    """Some training steps on one batch.

    Args:
        model: compiled.
        batch: modality to features.
        steps: how many.

    Returns:
        The loss of the last, so that all have been taken.
    """
    for _ in range(steps):
        loss = model.train_on_batch(batch, return_dict=True)["loss"]
    return float(loss)


def training_memory(chosen: Training, source: clips.Clips, seed: int) -> float:
    """Memory that building a system and two steps take; to be called in a fresh process.

    Args:
        chosen: settings, with the system.
        source: the clips.
        seed: of weights and order.

    Returns:
        Gigabytes: of the GPU where there is one, else what this process grows by.
    """
    with PeakMemory() as memory:
        model, batch = compiled(chosen, source, seed)
        train_steps(model, batch, 2)
    return device_gigabytes() or memory.gigabytes


def training_times(
    chosen: Any, systems: Sequence[str], source: clips.Clips, seed: int
) -> dict[str, dict[str, float]]:
    """Seconds per step of several systems, taken in turns, since a machine's speed drifts.

    Args:
        chosen: settings, with `steps`, `rounds` and `clock`.
        systems: names in the registry.
        source: the clips.
        seed: of weights and order.

    Returns:
        Dict of `step_seconds`, `parameters` and, for systems with codes, `toc_seconds`, each by
        system.
    """
    ready = {
        name: compiled(dataclasses.replace(chosen, system=name), source, seed) for name in systems
    }
    seconds = seconds_in_turns(
        {name: functools.partial(train_steps, *pair, chosen.steps) for name, pair in ready.items()},
        chosen.rounds,
        clock=chosen.clock,
    )
    toc = {}
    for name, (model, _) in ready.items():
        codebook = model.backbone.codebook
        if codebook is not None:
            start = time.perf_counter()
            keras_cmg.layers.TOCChannelMask(min(TOC_CHANNELS, codebook.shape[1])).adapt(codebook)
            toc[name] = time.perf_counter() - start
    return {
        "step_seconds": {name: value / chosen.steps for name, value in seconds.items()},
        "parameters": {name: model.count_params() for name, (model, _) in ready.items()},
        "toc_seconds": toc,
    }
