"""Codes as prompts: a two-layer network from codes to the embeddings of an image generator."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np

import keras_cmg
from recipes.image_generation.image_generator import Generator, whole_batches

EPOCHS = 60
"""Largest number of epochs under "heldout"."""
REFERENCE_STEPS, REFERENCE_BATCH = 80_000, 8
"""Training of the two layers as published (Huang et al., 2025, section 4.1)."""
NOTICE = "Protocol “reference”: trained for as long as the paper says, without validation clips."
SOURCES = {"video": "image", "audio": "audio", "text": "text"}
"""Modality of the codes to its name in the paper."""
LAYERS = (
    "Two dense layers learn from the image codes of training clips to the embeddings of their "
    "images in a frozen generator"
)
HELDOUT = f"{LAYERS}, and stop at the epoch that is best on validation clips"
REFERENCE = (
    f"{LAYERS} in a fixed number of steps of {REFERENCE_BATCH} clips, as published "
    f"({REFERENCE_STEPS:,} steps by default); validation clips are not read"
)


class CodePrompt:
    """Two dense layers from a code to an embedding, trained on one modality's codes.

    Embeddings of images with the same code differ: noise with the standard deviation of the errors
    on validation clips is added to the predicted embedding, dimension by dimension.

    Args:
        embedding_dim: length of an embedding.
        units: units between the layers.

    References:
        Huang et al. (2025), section 4.2; Ye et al. (2023), IP-Adapter.
    """

    def __init__(self, embedding_dim: int, units: int = 512):
        self.network = keras.Sequential(
            [keras.layers.Dense(units, activation="relu"), keras.layers.Dense(embedding_dim)]
        )

    def fit(
        self,
        codes: dict[str, np.ndarray],
        embeddings: dict[str, np.ndarray],
        epochs: int,
        batch_size: int = 64,
        choose: bool = True,
    ) -> dict[str, list[float]]:
        """Trains, and keeps the weights of the epoch that is best on validation clips.

        Args:
            codes: "train" and "val" to (clips, dim) float.
            embeddings: the same to (clips, embedding_dim) float.
            epochs: epochs of training.
            batch_size: clips per step.
            choose: whether validation clips choose the epoch; otherwise the last weights are kept
                and the errors are those of training clips.

        Returns:
            The logs of every epoch.
        """
        self.network.compile(keras.optimizers.Adam(1e-3), "mse")
        best = keras.callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)
        history = self.network.fit(
            *whole_batches(codes["train"], embeddings["train"], batch_size),
            validation_data=(codes["val"], embeddings["val"]) if choose else None,
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
            callbacks=[best] if choose else None,
        )
        split = "val" if choose else "train"
        self.spread = (embeddings[split] - self.predict(codes[split])).std(axis=0)
        return history.history

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Predicts embeddings of codes, `(clips, embedding_dim)`."""
        return self.network.predict(codes, batch_size=100, verbose=0)

    def images(
        self, generator: Generator, codes: np.ndarray, seed: int, spread: float = 1.0
    ) -> np.ndarray:
        """Generates images from codes.

        Args:
            generator: frozen.
            codes: (clips, dim) float, of any modality.
            seed: seed of the noise.
            spread: scale of the noise; 0 gives the predicted embedding.

        Returns:
            (clips, height, width, channels) float, 0 to 1.
        """
        expected = self.predict(codes)
        drawn = np.random.default_rng(seed).standard_normal(expected.shape)
        return generator.generate((expected + spread * self.spread * drawn).astype("float32"), seed)


def with_toc(
    codes: Mapping[str, Mapping[str, np.ndarray]],
    backbone: keras_cmg.models.Backbone,
    channels: int,
) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Returns codes with all dimensions and, for a model with codes, with those that TOC keeps.

    Args:
        codes: split to modality to (clips, dim) float.
        backbone: the model.
        channels: number of dimensions that TOC keeps.

    Returns:
        Suffix of the model's name, "" and "+TOC", to codes.
    """
    found = {"": {split: dict(parts) for split, parts in codes.items()}}
    if backbone.quantizer is None:
        return found
    toc = keras_cmg.layers.TOCChannelMask(channels)
    toc.adapt(backbone.code_source())
    found["+TOC"] = {
        split: {modality: x[:, toc.channel_indices] for modality, x in parts.items()}
        for split, parts in codes.items()
    }
    return found


def generate(
    codes: Mapping[str, Mapping[str, np.ndarray]],
    images: Mapping[str, np.ndarray],
    generator: Generator,
    units: int,
    epochs: int | None,
    protocol: str,
    seed: int,
) -> dict[str, np.ndarray]:
    """Trains the two layers on image codes and generates images from codes of every modality.

    Args:
        codes: split to modality to (clips, dim) float.
        images: split to (clips, height, width, channels) float, 0 to 1.
        generator: frozen.
        units: units between the layers.
        epochs: epochs of training; None for the published number of steps.
        protocol: "heldout" or "reference".
        seed: seed of the noise.

    Returns:
        Pair, such as "audio->image", to images of the test clips.
    """
    prompt = CodePrompt(generator.embedding_dim, units)
    learned = {split: codes[split]["video"] for split in ("train", "val")}
    embeddings = {split: generator.embed(images[split]) for split in learned}
    if protocol == "heldout":
        prompt.fit(learned, embeddings, epochs or EPOCHS)
    else:
        steps = max(len(learned["train"]) // REFERENCE_BATCH, 1)
        fixed = epochs or -(-REFERENCE_STEPS // steps)
        prompt.fit(learned, embeddings, fixed, REFERENCE_BATCH, choose=False)
    return {
        f"{name}->image": prompt.images(generator, codes["test"][modality], seed)
        for modality, name in SOURCES.items()
    }


def describe(protocol: str, generator: str) -> str:
    """Describes how images were generated.

    Args:
        protocol: "heldout" or "reference".
        generator: name of the generator.

    Returns:
        Plain text.
    """
    heldout = protocol == "heldout"
    return (
        f"Each model is trained without labels and frozen. {HELDOUT if heldout else REFERENCE}; "
        "sounds and captions are not used. Noise with the standard deviation of the errors on "
        f"{'validation' if heldout else 'training'} clips is added to the embeddings. Generator: "
        f"{generator}."
    )
