"""Decoding of codes with masked dimensions, chosen by TOC or at random (Table 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
"""Criterion to arguments of `TOCChannelMask`; `usage` weights codes by their use."""


def kept_channels(masked: float, dim: int) -> int:
    """Returns the number of dimensions that are kept.

    Args:
        masked: share of masked dimensions, in per cent.
        dim: number of dimensions.

    Returns:
        The number, at least 1.

    Raises:
        ValueError: if the share lies outside [0, 100).

    Example:

    >>> kept_channels(87.5, 128)
    16
    """
    if not 0 <= masked < 100:
        raise ValueError(f"--masked must lie in [0, 100). Received: {masked}")
    return max(1, round(dim * (1 - masked / 100)))


def random_masks(count: int, dim: int, kept: int, seed: int) -> np.ndarray:
    """Draws masks of random dimensions.

    Args:
        count: number of masks.
        dim: length of a code.
        kept: dimensions that each mask keeps.
        seed: seed of the draw.

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
    """Returns the mask of each criterion.

    Args:
        codebook: (codes, dim) float.
        usage: (codes,) number of uses of each code.
        kept: dimensions that a mask keeps.
        variance_weight: weight of variance in TOC, lambda of Eq. 22.

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
    """Returns the decoder as a function of arrays, compiled on engines that compile.

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
    """Computes the mean squared error of the reconstruction with each mask.

    Args:
        decode: codes to images.
        codes: (images, places, dim) float.
        images: (images, height, width, channels) float.
        masks: of 0 and 1, each (dim,).
        fill: value of masked entries, a number or (dim,).

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
    """Encodes images, batch by batch.

    Args:
        backbone: trained.
        images: (images, height, width, channels) float.
        batch_size: images per batch.

    Returns:
        `general` and `quantized`, (images, places, dim), and `indices`, (images, places).
    """
    encoder = keras_cmg.models.ModalityEncoder(backbone, backbone.modality)
    codes = encoder.predict(images, batch_size=batch_size, verbose=0)
    return {name: ops.convert_to_numpy(value) for name, value in codes.items()}


def as_floats(pixels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Converts images of bytes to floats from 0 to 1.

    Args:
        pixels: split to uint8 images.

    Example:

    >>> as_floats({"val": np.array([255], "uint8")})["val"].tolist()
    [1.0]
    """
    return {split: x.astype("float32") / 255 for split, x in pixels.items()}


def train_vqvae(
    pixels: Mapping[str, np.ndarray],
    preset: str,
    hidden_channels: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> tuple[keras_cmg.models.VQVAE, dict[str, list[float]]]:
    """Trains a VQ-VAE on images.

    Args:
        pixels: "train" and "val" to (images, height, width, channels) float, 0 to 1.
        preset: preset of the VQ-VAE.
        hidden_channels: channels of its convolutions.
        epochs: epochs of training.
        batch_size: images per step.
        learning_rate: learning rate of Adam.
        seed: seed of initial weights and of the order.

    Returns:
        The model, and the logs of every epoch.
    """
    model = keras_cmg.models.VQVAE.from_preset(
        preset, seed=seed, backbone={"hidden_channels": hidden_channels}
    )
    model.compile(keras.optimizers.Adam(learning_rate))
    order = np.random.default_rng(seed).permutation(len(pixels["train"]))
    # A last, smaller batch would be compiled anew.
    order = order[: max(len(order) // batch_size, 1) * batch_size]
    history = model.fit(
        {"image": pixels["train"][order]},
        validation_data=({"image": pixels["val"]},),
        batch_size=batch_size,
        epochs=epochs,
    )
    return model, history.history


class MaskedDecoding:
    """Decodes test images from masked codes of a trained VQ-VAE.

    Args:
        model: trained.
        pixels: "train" and "test" to (images, height, width, channels) float, 0 to 1.
        variance_weight: weight of variance in TOC, lambda of Eq. 22.
        num_masks: random masks per share.
        seed: seed of the random masks.
    """

    def __init__(
        self,
        model: keras_cmg.models.VQVAE,
        pixels: Mapping[str, np.ndarray],
        variance_weight: float,
        num_masks: int,
        seed: int,
    ) -> None:
        indices = encode_images(model.backbone, pixels["train"])["indices"]
        self.usage = np.bincount(indices.ravel(), minlength=model.backbone.num_embeddings)
        self.codes = encode_images(model.backbone, pixels["test"])["quantized"]
        self.codebook = ops.convert_to_numpy(model.backbone.codebook)
        self.decode, self.images = decoder_of(model), pixels["test"]
        self.variance_weight, self.num_masks, self.seed = variance_weight, num_masks, seed
        dim = self.codebook.shape[1]
        self.fills = {"zero": np.zeros(dim), "mean": self.codebook.mean(axis=0)}

    def criterion_masks(self, share: float, fill: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the mask of each criterion.

        Args:
            share: share of masked dimensions, in per cent.
            fill: (dim,) value of masked dimensions, subtracted before dimensions are chosen.
        """
        kept = kept_channels(share, self.codebook.shape[1])
        return chosen_masks(self.codebook - fill, self.usage, kept, self.variance_weight)

    def measure(self, shares: Sequence[float]) -> dict[str, Any]:
        """Measures errors with all masks, and the use of the codebook.

        Args:
            shares: shares of masked dimensions, in per cent.

        Returns:
            Dict of `masked`, view to share to errors of `random` and `chosen` masks; `unmasked`;
            `codes_used`, `perplexity` and `mean_to_spread`.
        """
        masked: dict[str, dict[str, Any]] = {view: {} for view in self.fills}
        dim = self.codebook.shape[1]
        for share in shares:
            drawn = random_masks(self.num_masks, dim, kept_channels(share, dim), self.seed)
            for view, fill in self.fills.items():
                masks = self.criterion_masks(share, fill)
                every = [*drawn, *masks.values()]
                errors = squared_errors(self.decode, self.codes, self.images, every, fill)
                masked[view][str(share)] = {
                    "random": errors[: len(drawn)],
                    "chosen": dict(zip(masks, errors[len(drawn) :].tolist(), strict=True)),
                }
        shares_of_use = self.usage / self.usage.sum()
        used = shares_of_use[shares_of_use > 0]
        ratios = np.abs(self.codebook.mean(axis=0)) / self.codebook.std(axis=0)
        everything = [np.ones(dim)]
        return {
            "masked": masked,
            "unmasked": squared_errors(self.decode, self.codes, self.images, everything)[0],
            "codes_used": int((self.usage > 0).sum()),
            "perplexity": float(np.exp(-(used * np.log(used)).sum())),
            "mean_to_spread": np.percentile(ratios, [0, 25, 50, 75, 100]).tolist(),
        }

    def reconstructions(
        self, view: str, shares: Sequence[float], columns: int = 8
    ) -> dict[str, np.ndarray]:
        """Returns test images: originals, from all dimensions, from TOC's and random masks.

        Args:
            view: "zero" or "mean", the value of masked dimensions.
            shares: shares of masked dimensions, in per cent.
            columns: number of images.

        Returns:
            Name of a row to (columns, height, width, channels) float.
        """
        fill, codes = self.fills[view], self.codes[:columns]
        rows = {"original": self.images[:columns], "all dimensions": self.decode(codes)}
        for share in shares:
            dim = self.codebook.shape[1]
            masks = {
                "TOC": self.criterion_masks(share, fill)["TOC"],
                "random": random_masks(1, dim, kept_channels(share, dim), self.seed)[0],
            }
            for name, mask in masks.items():
                left = codes * mask + fill * (1 - mask)
                rows[f"{share:g} % masked, {name}"] = self.decode(left.astype("float32"))
        return rows
