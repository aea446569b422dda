"""A small image generator with an embedding space of its own, and a classifier of images.

The generator takes the place of a large one behind an image prompt (IP-Adapter): `embed` returns
the embedding of an image, `generate` an image of an embedding. It is trained on images and frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np

import keras_cmg


class Generator(Protocol):
    """Interface of image generators."""

    @property
    def embedding_dim(self) -> int:
        """Length of an embedding."""

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns embeddings (images, dim) of images (images, height, width, channels), 0 to 1."""

    def generate(self, embeddings: np.ndarray, seed: int) -> np.ndarray:
        """Returns images (images, height, width, channels), 0 to 1, of embeddings (images, dim)."""


class SmallGenerator:
    """An autoencoder with a narrow, noisy, standardised embedding.

    Args:
        embedding_dim: length of an embedding.
        hidden_channels: channels of the convolutions.
        noise: standard deviation of the noise added to embeddings in training, so that similar
            embeddings give similar images.
    """

    def __init__(self, embedding_dim: int = 32, hidden_channels: int = 32, noise: float = 0.2):
        self.embedding_dim = embedding_dim
        self.hidden_channels = hidden_channels
        self.noise = noise

    def fit(
        self, images: Mapping[str, np.ndarray], epochs: int, batch_size: int = 64
    ) -> dict[str, list[float]]:
        """Trains on images, then freezes.

        Args:
            images: "train" and "val" to (images, height, width, channels) float, 0 to 1.
            epochs: of training.
            batch_size: images per step.

        Returns:
            The logs of every epoch.
        """
        shape = images["train"].shape[1:]
        halvings = 3 if shape[0] % 8 == 0 else 2
        encoder = keras_cmg.layers.ImageEncoder(
            16, self.hidden_channels, num_residual=1, downsampling=halvings
        )
        rows, columns = encoder.grid((None, *shape))
        inputs = keras.Input(shape)
        x = keras.layers.Flatten()(encoder(inputs))
        x = keras.layers.Dense(self.embedding_dim)(x)
        embedding = keras.layers.BatchNormalization(center=False, scale=False)(x)
        self.encoder = keras.Model(inputs, embedding)
        codes = keras.Input((self.embedding_dim,))
        x = keras.layers.Dense(rows * columns * 16, activation="relu")(codes)
        x = keras.layers.Reshape((rows * columns, 16))(x)
        x = keras_cmg.layers.ImageDecoder(
            shape[-1], (rows, columns), self.hidden_channels, num_residual=1, upsampling=halvings
        )(x)
        self.decoder = keras.Model(codes, x)
        noisy = keras.layers.GaussianNoise(self.noise)(self.encoder(inputs))
        whole = keras.Model(inputs, self.decoder(noisy))
        whole.compile(keras.optimizers.Adam(1e-3), "mse")
        history = whole.fit(
            *whole_batches(images["train"], images["train"], batch_size),
            validation_data=(images["val"], images["val"]),
            batch_size=batch_size,
            epochs=epochs,
            callbacks=[keras_cmg.callbacks.TrainingProgress(("loss",))],
        )
        whole.trainable = False
        return history.history

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Returns embeddings of images, `(images, dim)`."""
        return self.encoder.predict(images, batch_size=100, verbose=0)

    def generate(self, embeddings: np.ndarray, seed: int = 0) -> np.ndarray:
        """Returns images of embeddings, 0 to 1; the seed is not used."""
        return np.clip(self.decoder.predict(embeddings, batch_size=100, verbose=0), 0, 1)


class Judge:
    """A small classifier of images, with features for a distance.

    Args:
        num_classes: how many classes there are.
        hidden_channels: channels of the convolutions.
        dim: number of features before the last layer.
    """

    def __init__(self, num_classes: int, hidden_channels: int = 32, dim: int = 64):
        self.num_classes = num_classes
        self.hidden_channels = hidden_channels
        self.dim = dim

    @property
    def name(self) -> str:
        """Description of the features, for reports."""
        return f"the {self.dim} features of a classifier of {self.num_classes} classes trained here"

    def fit(
        self,
        images: Mapping[str, np.ndarray],
        labels: Mapping[str, np.ndarray],
        epochs: int,
        batch_size: int = 64,
    ) -> float:
        """Trains on labelled images.

        Args:
            images: "train" and "val" to (images, height, width, channels) float.
            labels: the same to (images,) int classes.
            epochs: of training.
            batch_size: images per step.

        Returns:
            Accuracy on "val".
        """
        inputs = keras.Input(images["train"].shape[1:])
        x = inputs
        for _ in range(3):
            x = keras.layers.Conv2D(self.hidden_channels, 3, 2, "same", activation="relu")(x)
        x = keras.layers.Flatten()(x)
        features = keras.layers.Dense(self.dim, activation="relu")(x)
        logits = keras.layers.Dense(self.num_classes)(features)
        model = keras.Model(inputs, logits)
        model.compile(
            keras.optimizers.Adam(1e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        model.fit(
            *whole_batches(images["train"], labels["train"], batch_size),
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
        )
        self.network = keras.Model(inputs, {"features": features, "logits": logits})
        return self.accuracy(images["val"], labels["val"])

    def features(self, images: np.ndarray) -> np.ndarray:
        """Returns features of images, `(images, dim)`."""
        return self.network.predict(images, batch_size=100, verbose=0)["features"]

    def classes(self, images: np.ndarray) -> np.ndarray:
        """Returns the class of each image, `(images,)`."""
        return self.network.predict(images, batch_size=100, verbose=0)["logits"].argmax(axis=-1)

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Returns the share of images of the given classes."""
        return float((self.classes(images) == labels).mean())


def distance(
    features: Callable[[np.ndarray], np.ndarray], real: np.ndarray, generated: np.ndarray
) -> float:
    """Computes the Fréchet distance of two sets of images, by features.

    Args:
        features: images to (images, dim).
        real: (images, height, width, channels) float.
        generated: the same.

    Returns:
        The distance.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(9, 2, 1, 1))
    >>> round(distance(lambda x: x.reshape(len(x), -1), images, images), 3)
    0.0
    """
    pair = features(real), features(generated)
    metric = keras_cmg.metrics.FrechetDistance(pair[0].shape[1])
    metric.update_state(*pair)
    return float(metric.result())


def whole_batches(x: np.ndarray, y: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first rows that fill whole batches: a smaller one would be compiled anew.

    Args:
        x: (rows, ...).
        y: (rows, ...).
        batch_size: rows per batch.

    Returns:
        Both, cut.

    Example:

    >>> len(whole_batches(np.zeros(7), np.zeros(7), 3)[0])
    6
    """
    rows = max(len(x) // batch_size, 1) * batch_size
    return x[:rows], y[:rows]


def new_generator(
    name: str,
    images: Mapping[str, np.ndarray],
    epochs: int,
    pipeline: str | None = None,
    adapter: str | None = None,
) -> Generator:
    """Returns a frozen generator.

    Args:
        name: "small" or "ip-adapter".
        images: "train" and "val" to images that the small generator is trained on.
        epochs: epochs of training the small generator.
        pipeline: folder of Stable Diffusion, of "ip-adapter".
        adapter: file of the IP-Adapter, of "ip-adapter".
    """
    if name == "ip-adapter":
        from recipes.image_generation.ip_adapter import IPAdapterGenerator

        return IPAdapterGenerator(pipeline or "", adapter or "")
    small = SmallGenerator()
    small.fit(images, epochs)
    return small


def distance_features(
    judge: Judge, inception: str | None, trusted: bool = False
) -> tuple[Any, str]:
    """Returns the features of the Fréchet distance, and their description.

    Args:
        judge: classifier whose features are used without an Inception network.
        inception: TorchScript file of the Inception network, or None.
        trusted: whether the program in that file may be run.
    """
    if inception is None:
        return judge.features, judge.name
    from recipes.image_generation.ip_adapter import InceptionFeatures

    return InceptionFeatures(inception, trusted), str(inception)


def bounds(
    generator: Generator, features: Any, images: Mapping[str, np.ndarray], seed: int
) -> dict[str, float]:
    """Computes the distances that other real images and the generator itself have.

    Args:
        generator: frozen.
        features: images to features.
        images: "val" and "test" to real images.
        seed: seed of the generator.

    Returns:
        Description to distance.
    """
    rebuilt = generator.generate(generator.embed(images["test"]), seed)
    return {
        "other real images": distance(features, images["test"], images["val"]),
        "the generator, of the image's own embedding": distance(features, images["test"], rebuilt),
    }
