"""Decoding codes of which only some dimensions are left: chosen by TOC, or at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_cmg

CRITERIA: dict[str, dict[str, Any]] = {
    "TOC": {},
    "usage-weighted TOC": {"usage": True},
    "similarity": {"criterion": "similarity"},
    "variance": {"criterion": "variance"},
    "usage-weighted variance": {"criterion": "variance", "usage": True},
}
"""Ways of choosing dimensions: arguments of `TOCChannelMask`, and which weigh codes by use."""


def kept_channels(masked: float, dim: int) -> int:
    """How many dimensions are left.

    Args:
        masked: share of dimensions that are not, in per cent.
        dim: number of dimensions.

    Returns:
        The number, at least 1.

    Raises:
        ValueError: the share lies outside [0, 100).

    Example:

    >>> kept_channels(87.5, 128)
    16
    """
    if not 0 <= masked < 100:
        raise ValueError(f"--masked must lie in [0, 100); received: {masked}")
    return max(1, round(dim * (1 - masked / 100)))


def random_masks(count: int, dim: int, kept: int, seed: int) -> np.ndarray:
    """Masks of random dimensions.

    Args:
        count: of masks.
        dim: of codes.
        kept: dimensions left by each.
        seed: of the draw.

    Returns:
        (count, dim) float32 of 0 and 1.

    Example:

    >>> random_masks(3, 8, 2, seed=0).sum(axis=1).tolist()
    [2.0, 2.0, 2.0]
    """
    draws = np.random.default_rng(seed).random((count, dim))
    ranks = draws.argsort(axis=1).argsort(axis=1)
    return (ranks < kept).astype("float32")


def chosen_masks(
    codebook: np.ndarray, usage: np.ndarray, kept: int, variance_weight: float = 0.3
) -> dict[str, np.ndarray]:
    """The mask of each criterion.

    Args:
        codebook: (codes, dim) float.
        usage: (codes,) how often each code is used.
        kept: dimensions left.
        variance_weight: lambda of TOC.

    Returns:
        Name of the criterion to (dim,) float32 of 0 and 1.

    Example:

    >>> masks = chosen_masks(np.array([[1.0, 0.0], [1.0, 1.0]]), np.ones(2), kept=1)
    >>> masks["TOC"].tolist()
    [0.0, 1.0]
    """
    masks = {}
    for name, arguments in CRITERIA.items():
        settings = {key: value for key, value in arguments.items() if key != "usage"}
        layer = keras_cmg.layers.TOCChannelMask(
            kept, mode="mask", variance_weight=variance_weight, **settings
        )
        layer.adapt(codebook, usage if arguments.get("usage") else None)
        mask = np.zeros(codebook.shape[1], "float32")
        mask[layer.channel_indices] = 1
        masks[name] = mask
    return masks


def decoder_of(model: keras_cmg.models.VQVAE) -> Callable[[np.ndarray], np.ndarray]:
    """The decoder as a function of arrays, compiled where the engine compiles.

    Args:
        model: trained.

    Returns:
        Codes (images, places, dim) to images (images, height, width, channels), float32.
    """
    decoder = keras.Sequential([model.decoder])
    return lambda codes: np.asarray(decoder.predict_on_batch(codes))


def squared_errors(
    decode: Callable[[np.ndarray], np.ndarray],
    codes: np.ndarray,
    images: np.ndarray,
    masks: Sequence[np.ndarray],
    fill: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Mean squared error of the reconstruction with each mask.

    Args:
        decode: codes to images.
        codes: (images, places, dim) float.
        images: (images, height, width, channels) float.
        masks: of 0 and 1, each (dim,).
        fill: what takes the place of masked entries, a number or (dim,).

    Returns:
        (masks,) float64.

    Example:

    >>> codes, images = np.ones((2, 1, 3), "float32"), np.ones((2, 3), "float32")
    >>> masks = [np.array([1.0, 1.0, 0.0]), np.ones(3)]
    >>> squared_errors(lambda x: x[:, 0], codes, images, masks).round(3).tolist()
    [0.333, 0.0]
    """
    errors = []
    for mask in masks:
        rebuilt = decode((codes * mask + fill * (1 - mask)).astype("float32"))
        errors.append(float(np.square(rebuilt.astype("float64") - images).mean()))
    return np.array(errors)


def encode_images(
    backbone: keras_cmg.models.VQVAEBackbone, images: np.ndarray, batch_size: int = 100
) -> dict[str, np.ndarray]:
    """Codes of images, batch by batch.

    Args:
        backbone: trained.
        images: (images, height, width, channels) float.
        batch_size: images at once.

    Returns:
        `general` and `quantized`, (images, places, dim), and `indices`, (images, places).
    """
    encoder = keras_cmg.models.ModalityEncoder(backbone, backbone.modality)
    codes = encoder.predict(images, batch_size=batch_size, verbose=0)
    return {name: ops.convert_to_numpy(value) for name, value in codes.items()}
