"""One VQ-VAE of images on one seed: trained, then measured by its reconstructions and codes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_cmg
from data_tools.raw import image_sets
from keras_cmg.models.base.presets import merged
from recipes.protocol.masked_decoding import as_floats, decoder_of, encode_images
from recipes.runner import content_cache
from recipes.runner.provenance import set_seed
from recipes.runner.settings import Settings

PRESET = "small"
LEARNING_RATE = 1e-3
MEASURED = ("num_images", "hidden_channels", "epochs", "batch_size")
"""Settings that decide a measurement."""


def cached_images(
    cache: Path,
    settings: Settings,
    images: image_sets.Images,
    arguments: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """Returns what `measure_images` measures, from the cache or measured now.

    Args:
        cache: folder of the cache.
        settings: settings with `MEASURED`.
        images: "train", "val" and "test".
        arguments: arguments of the model, as of `keras_cmg.models.create_model`.
        seed: of weights and of the order of images.

    Returns:
        What `measure_images` returns.
    """
    chosen = {name: getattr(settings, name) for name in MEASURED}
    identity = content_cache.with_code(
        {**chosen, "set": arguments, "seed": seed, "images": images.checksums}
    )
    return content_cache.remembered(
        cache / "images", identity, lambda: measure_images(settings, images, arguments, seed)
    )


def measure_images(
    settings: Settings, images: image_sets.Images, arguments: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Trains a VQ-VAE and measures test images.

    Args:
        settings: settings with `MEASURED`.
        images: "train", "val" and "test".
        arguments: arguments of the model.
        seed: of weights and of the order of images.

    Returns:
        `squared_error` of test images; `perplexity` and `used` of their codes, where combinations
        of indices count as one code; `codes`, the number of combinations; `seconds` of training
        after the first epoch, in which engines compile, per epoch.
    """
    pixels = as_floats(images.pixels)
    set_seed(seed)
    backbone = {"hidden_channels": settings.hidden_channels}
    model = keras_cmg.models.VQVAE.from_preset(
        PRESET, seed=seed, **merged({"backbone": backbone}, arguments)
    )
    model.compile(keras.optimizers.Adam(LEARNING_RATE))
    order = np.random.default_rng(seed).permutation(len(pixels["train"]))
    order = order[: max(len(order) // settings.batch_size, 1) * settings.batch_size]
    marks = [time.perf_counter()]
    model.fit(
        {model.backbone.modality: pixels["train"][order]},
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: marks.append(time.perf_counter())
            )
        ],
    )
    seconds = np.diff(marks)
    found = encode_images(model.backbone, pixels["test"])
    decode = decoder_of(model)
    error = np.square(decode(found["quantized"]).astype("float64") - pixels["test"]).mean()
    shape = model.backbone.quantizer.index_shape
    tuples = found["indices"].reshape(-1, int(np.prod(shape, dtype=int)))
    _, counts = np.unique(tuples, axis=0, return_counts=True)
    shares = counts / counts.sum()
    return {
        "squared_error": float(error),
        "perplexity": float(np.exp(-(shares * np.log(shares)).sum())),
        "used": len(counts),
        "codes": float(np.prod(model.backbone.quantizer.index_sizes, dtype=float)),
        "seconds": float(seconds[1:].mean() if len(seconds) > 1 else seconds[0]),
        "parameters": model.count_params(),
    }
