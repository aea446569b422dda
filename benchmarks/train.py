"""A training step of FCID, against what a large matrix product reaches in the same run."""

from __future__ import annotations

import resource
import time
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_cmg
from benchmarks.flops import step_flops
from benchmarks.machine import accelerator_name, bf16_peak
from recipes.protocol.resource_use import device_gigabytes, seconds_in_turns
from recipes.runner.provenance import set_seed


def batch_of(preset: str, clips: int) -> dict[str, np.ndarray]:
    """Random features of the published sizes, or of the digits' for the preset "small".

    Args:
        preset: name of the preset.
        clips: number of clips.

    Returns:
        Modality to features.

    Example:

    >>> batch_of("paper", 2)["video"].shape
    (2, 10, 7, 7, 512)
    """
    random = np.random.default_rng(0)
    wide = preset != "small"
    shapes = {
        "audio": (10, 128),
        "video": (10, 7, 7, 512 if wide else 16),
        "text": (10, 768 if wide else 64),
    }
    return {m: random.standard_normal((clips, *s), "float32") for m, s in shapes.items()}


def run(
    preset: str = "small",
    batch_size: int = 8,
    precision: str = "float32",
    jit: str = "auto",
    product_size: int = 2048,
    batch_chunks: int = 1,
    fit_steps: int = 0,
    tf32: str = "off",
    rounds: int = 3,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times steps and products in turns.

    The learning rates are so small that weights do not move: on random features, the bounds of
    mutual information would diverge.

    Args:
        preset: preset of FCID.
        batch_size: clips per step.
        precision: dtype policy.
        jit: `"auto"`, `"on"` or `"off"`.
        product_size: rows and columns of the matrices whose product is the yardstick.
        batch_chunks: parts of the batch, an argument of `compile`; the operations that are computed
            again for the gradient do not count as operations of the step.
        fit_steps: steps of `fit` in one timing, which is how models are trained; 0 for one call of
            `train_on_batch`, which Keras on JAX gives all weights back after.
        tf32: `"on"` or `"off"`, whether PyTorch rounds the factors of float32 products to
            TensorFloat-32 on a GPU, as JAX does unless told otherwise.
        rounds: number of times each is timed.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`.

    Returns:
        Name to number or text; `share_of_peak`, of the data sheet's rate of the GPU, if it is known
        and `precision` has 16 bits.

    Raises:
        ValueError: if there is an unknown preset or `jit`.

    Example:

    >>> results = run(batch_size=2, rounds=1)
    >>> results["step_seconds"] > 0
    True
    """
    modes = {"auto": "auto", "on": True, "off": False}
    if jit not in modes:
        raise ValueError(f"`jit` must be one of {sorted(modes)}. Received: {jit!r}")
    if tf32 == "on":
        _round_float32_products()
    set_seed(0)
    batch = batch_of(preset, batch_size)
    model = keras_cmg.models.FCID.from_preset(preset, dtype=precision)
    model.compile(
        keras.optimizers.Adam(1e-7),
        keras.optimizers.Adam(1e-7),
        jit_compile=modes[jit],
        batch_chunks=batch_chunks,
    )
    model.build({name: x.shape for name, x in batch.items()})
    # Of one clip: on PyTorch, counting keeps all activations, and memory is measured below.
    flops = batch_size * step_flops(model, {name: x[:1] for name, x in batch.items()})
    numbers = np.random.default_rng(0).standard_normal((product_size, product_size), "float32")
    square = ops.cast(numbers, model.compute_dtype)
    # On the device before the first step: the transfer of a batch is no part of a step.
    batch = {name: ops.convert_to_tensor(x) for name, x in batch.items()}

    def step() -> float:
        return float(model.train_on_batch(batch, return_dict=True)["loss"])

    def fit() -> None:
        batches = ((batch,) for _ in range(fit_steps))
        model.fit(batches, steps_per_epoch=fit_steps, shuffle=False, verbose=0)

    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    # On TensorFlow and JAX the second call may compile once more, and PyTorch on a GPU records a
    # step after a few.
    for _ in range(4):
        step()
    actions = {"product": lambda: ops.matmul(square, square), "step": fit if fit_steps else step}
    times = seconds_in_turns(actions, rounds, clock=clock)
    times["step"] /= fit_steps or 1
    product_rate = 2 * product_size**3 / times["product"]
    peak = bf16_peak(accelerator_name()) if "16" in precision else None
    return {
        "preset": preset,
        "batch_size": batch_size,
        "precision": precision,
        "jit": jit,
        "product_size": product_size,
        "batch_chunks": batch_chunks,
        "fit_steps": fit_steps,
        "tf32": tf32,
        "compile_seconds": max(0.0, first - times["step"]),
        "step_seconds": times["step"],
        "step_gigaflop": 1e-9 * flops,
        "step_gigaflop_per_second": 1e-9 * flops / times["step"],
        "product_gigaflop_per_second": 1e-9 * product_rate,
        "share_of_product": flops / times["step"] / product_rate,
        **({"share_of_peak": flops / times["step"] / peak} if peak else {}),
        "peak_gigabytes": peak_gigabytes(),
    }


def _round_float32_products() -> None:
    if keras.backend.backend() == "torch":
        import torch

        torch.set_float32_matmul_precision("high")


def peak_gigabytes() -> float:
    """Most memory in use so far: of the GPU where PyTorch or JAX run on one, else of the process.

    Returns:
        Gigabytes.

    Example:

    >>> peak_gigabytes() > 0
    True
    """
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return device_gigabytes() or process
