"""Codes per second of a backbone, against what a large matrix product reaches in the same run."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

import keras_cmg
from benchmarks.flops import forward_flops, recorded_calls
from benchmarks.train import batch_of, peak_gigabytes
from recipes.protocol.resource_use import seconds_in_turns
from recipes.runner.provenance import set_seed


def run(
    preset: str = "small",
    batch_size: int = 64,
    precision: str = "float32",
    product_size: int = 2048,
    rounds: int = 3,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times the encoding of each modality's segments, features in memory, and products in turns.

    Args:
        preset: preset of FCID.
        batch_size: clips per call.
        precision: dtype policy.
        product_size: rows and columns of the matrices whose product is the yardstick.
        rounds: number of times each is timed.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`.

    Returns:
        Name to number or text; codes are those of segments, of several indices one.

    Raises:
        ValueError: if there is an unknown preset.

    Example:

    >>> results = run(batch_size=2, product_size=64, rounds=1)
    >>> results["audio_codes_per_second"] > 0
    True
    """
    set_seed(0)
    backbone = keras_cmg.models.FCIDBackbone.from_preset(preset, dtype=precision)
    batch = batch_of(preset, batch_size)
    backbone.build({name: x.shape for name, x in batch.items()})
    flops, actions = {}, {}
    for name, x in batch.items():
        encoder = keras_cmg.models.ModalityEncoder(backbone, name)
        with recorded_calls() as calls:
            encoder(x)
        flops[name] = sum(forward_flops(*call) for call in calls)
        x = ops.convert_to_tensor(x)
        actions[name] = lambda encoder=encoder, x=x: encoder.predict_on_batch(x)["indices"]
    numbers = np.random.default_rng(0).standard_normal((product_size, product_size), "float32")
    square = ops.cast(numbers, backbone.compute_dtype)
    product = {"product": lambda: ops.matmul(square, square)}
    times = seconds_in_turns({**product, **actions}, rounds, warm_up=2, clock=clock)
    product_rate = 2 * product_size**3 / times["product"]
    results: dict[str, Any] = {
        "preset": preset,
        "batch_size": batch_size,
        "precision": precision,
        "product_size": product_size,
        "product_gigaflop_per_second": 1e-9 * product_rate,
    }
    for name, x in batch.items():
        results[f"{name}_codes_per_second"] = batch_size * x.shape[1] / times[name]
        results[f"{name}_share_of_product"] = flops[name] / times[name] / product_rate
    return {**results, "peak_gigabytes": peak_gigabytes()}
