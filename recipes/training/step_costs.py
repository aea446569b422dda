"""Cost of a training step: time of several models in turns, memory of one."""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import time
from collections.abc import Sequence
from typing import Any

import keras_cmg
from recipes.protocol.clips import Clips
from recipes.protocol.resource_use import PeakMemory, device_gigabytes, seconds_in_turns
from recipes.runner.settings import Settings
from recipes.training.model_entries import of_entry
from recipes.training.trained_encoders import compile_model, new_model, training_batches

TOC_CHANNELS = 128


def compiled(
    settings: Settings, clips: Clips, seed: int
) -> tuple[keras_cmg.models.Pretrainer, dict[str, Any]]:
    """Returns a model that is ready to train, and its first batch.

    Args:
        settings: settings, with the model.
        clips: clips to train on.
        seed: seed of weights and order.
    """
    model = new_model(settings, clips.modalities(), seed)
    batches = training_batches(clips, settings.batch_size, seed, model)
    compile_model(model, settings, len(batches))
    (batch,) = batches[0]
    return model, batch


def train_steps(model: keras_cmg.models.Pretrainer, batch: dict[str, Any], steps: int) -> float:
    """Takes training steps on one batch.

    Args:
        model: compiled.
        batch: modality to features.
        steps: number of steps.

    Returns:
        Loss of the last step, so that all steps have been computed.
    """
    for _ in range(steps):
        loss = model.train_on_batch(batch, return_dict=True)["loss"]
    return float(loss)


def training_memory(settings: Settings, clips: Clips, seed: int) -> float:
    """Measures the memory that creating a model and two steps take, in a fresh process.

    Args:
        settings: settings, with the model.
        clips: clips to train on.
        seed: seed of weights and order.

    Returns:
        Gigabytes: of the GPU where there is one, else the growth of the process.
    """
    # A process that has trained before hides what the next model needs.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as process:
        return process.submit(_training_memory, settings, clips, seed).result()


def _training_memory(settings: Settings, clips: Clips, seed: int) -> float:
    with PeakMemory() as memory:
        model, batch = compiled(settings, clips, seed)
        train_steps(model, batch, 2)
    return device_gigabytes() or memory.gigabytes


def training_times(
    settings: Settings, entries: Sequence[str], clips: Clips, seed: int
) -> dict[str, dict[str, float]]:
    """Measures the seconds per step of several models, timed in turns.

    Args:
        settings: settings, with `steps`, `rounds` and `clock`.
        entries: models, or `model:preset`.
        clips: clips to train on.
        seed: seed of weights and order.

    Returns:
        Dict of `step_seconds`, `parameters` and, for models with codes, `toc_seconds`, each by
        entry.
    """
    ready = {name: compiled(of_entry(settings, name), clips, seed) for name in entries}
    seconds = seconds_in_turns(
        {
            name: functools.partial(train_steps, *pair, settings.steps)
            for name, pair in ready.items()
        },
        settings.rounds,
        clock=settings.clock,
    )
    toc = {}
    for name, (model, _) in ready.items():
        source = model.backbone.code_source()
        if source is not None:
            kept = min(TOC_CHANNELS, model.backbone.code_dim)
            start = time.perf_counter()
            keras_cmg.layers.TOCChannelMask(kept).adapt(source)
            toc[name] = time.perf_counter() - start
    return {
        "step_seconds": {name: value / settings.steps for name, value in seconds.items()},
        "parameters": {name: model.count_params() for name, (model, _) in ready.items()},
        "toc_seconds": toc,
    }
