"""An exported SavedModel against the bare model's `predict`: latency and throughput."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

import keras_cmg
from benchmarks.train import batch_of
from recipes.protocol.resource_use import CLOCKS, wait_for

BATCHES = (1, 8, 64)


def run(
    preset: str = "small",
    modality: str = "audio",
    rounds: int = 200,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times `encode_<modality>` of a SavedModel, and `predict` and a call of the model, in turns.

    Args:
        preset: of FCID.
        modality: what is encoded.
        rounds: requests of each size to each of them.
        clock: see `seconds_in_turns`.

    Returns:
        Name to number: milliseconds that half and 99 % of the requests stay below, clips per
        second, for each batch size.

    Raises:
        ValueError: for an unknown preset, modality or clock.

    Example:

    >>> run(rounds=0)
    Traceback (most recent call last):
        ...
    ValueError: `rounds` must be at least 1. Received: 0
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1. Received: {rounds}")
    if clock not in CLOCKS:
        raise ValueError(f"`clock` must be one of {sorted(CLOCKS)}. Received: {clock!r}")
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    backbone = keras_cmg.models.FCIDBackbone.from_preset(preset)
    batch = batch_of(preset, max(BATCHES))
    backbone.build({name: x.shape for name, x in batch.items()})
    encoder = keras_cmg.models.ModalityEncoder(backbone, modality)
    results: dict[str, Any] = {"preset": preset, "modality": modality, "rounds": rounds}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        path = keras_cmg.export.export(backbone, f"{folder}/served")
        results["export_seconds"] = time.perf_counter() - start
        served = tf.saved_model.load(str(path)).signatures[f"encode_{modality}"]
        for size in BATCHES:
            x = batch[modality][:size]

            def saved_model(x: np.ndarray = x) -> np.ndarray:
                return served(**{modality: tf.constant(x)})["indices"].numpy()

            def predict(x: np.ndarray = x) -> np.ndarray:
                return encoder.predict(x, batch_size=len(x), verbose=0)["indices"]

            def call(x: np.ndarray = x) -> Any:
                return encoder(keras.ops.convert_to_tensor(x))["indices"]

            if not np.array_equal(saved_model(), predict()):
                raise ValueError("the SavedModel gives other codes than the model")
            actions: dict[str, Callable[[], Any]] = {
                "saved_model": saved_model,
                "predict": predict,
                "call": call,
            }
            for name, times in _times(actions, rounds, clock).items():
                results[f"{name}_{size}_p50_milliseconds"] = 1e3 * float(np.percentile(times, 50))
                results[f"{name}_{size}_p99_milliseconds"] = 1e3 * float(np.percentile(times, 99))
                results[f"{name}_{size}_clips_per_second"] = size * rounds / float(np.sum(times))
    return results


def _times(
    actions: Mapping[str, Callable[..., Any]], rounds: int, clock: str, warm_up: int = 5
) -> dict[str, list[float]]:
    """Seconds of each request, one to each in turn."""
    now = CLOCKS[clock]
    times: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(-warm_up, rounds):
        for name, action in actions.items():
            start = now()
            wait_for(action())
            if turn >= 0:
                times[name].append(now() - start)
    return times
