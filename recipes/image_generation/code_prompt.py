"""Codes as prompts: a two-layer network from codes to the embeddings of an image generator."""

from __future__ import annotations

import keras
import numpy as np

from recipes.image_generation.image_generator import Generator, whole_batches


class CodePrompt:
    """Two dense layers from a code to an embedding, trained on one modality's codes.

    Embeddings of images with the same code differ; what the network cannot know of an embedding is
    drawn, dimension by dimension, with the spread that its errors have on validation clips.

    Args:
        embedding_dim: length of an embedding.
        units: width between the layers.

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
        """Trains; the weights of the epoch that is best on validation clips stay.

        Args:
            codes: "train" and "val" to (clips, dim) float.
            embeddings: the same to (clips, embedding_dim) float.
            epochs: of training.
            batch_size: clips per step.
            choose: whether validation clips choose the epoch; otherwise the last weights stay, and
                the spread is that of training clips.

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
        """Expected embeddings of codes, `(clips, embedding_dim)`."""
        return self.network.predict(codes, batch_size=100, verbose=0)

    def images(
        self, generator: Generator, codes: np.ndarray, seed: int, spread: float = 1.0
    ) -> np.ndarray:
        """Images of codes.

        Args:
            generator: frozen.
            codes: (clips, dim) float, of any modality.
            seed: of what is drawn.
            spread: how much of the spread is drawn; 0 gives the expected embedding.

        Returns:
            (clips, height, width, channels) float, 0 to 1.
        """
        expected = self.predict(codes)
        drawn = np.random.default_rng(seed).standard_normal(expected.shape)
        return generator.generate((expected + spread * self.spread * drawn).astype("float32"), seed)
