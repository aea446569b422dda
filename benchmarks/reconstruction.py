"""Quantisers inside a small VQ-VAE of the 8 x 8 handwritten digits that scikit-learn ships."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg import layers

DIM = 16
"""Width of the vectors that are quantised; 4 x 4 of them make an image."""
POSITIONS = 16
CODES = 256
NUM_TRAIN = 1500
LEARNED: dict[str, Any] = {"initial_scale": 0.5, "dead_code_patience": 50}

QUANTIZERS: dict[str, Callable[[int], layers.Quantizer]] = {
    "fsq": lambda seed: layers.ProjectedQuantizer(layers.FSQ((8, 6, 5)), DIM, seed=seed),
    "codebook": lambda seed: layers.Codebook(CODES, DIM, seed=seed, **LEARNED),
    "residual": lambda seed: layers.ResidualQuantizer(
        layers.Codebook(16, DIM, seed=seed, **LEARNED), 2
    ),
    "learned_diveq": lambda seed: layers.LearnedCodebook(
        CODES, DIM, seed=seed, gradient="diveq", codebook_cost=0.0, commitment_cost=0.0, **LEARNED
    ),
    "learned": lambda seed: layers.LearnedCodebook(CODES, DIM, seed=seed, **LEARNED),
    "grouped": lambda seed: layers.GroupedQuantizer(
        layers.Codebook(16, DIM // 2, seed=seed, **LEARNED), 2
    ),
    "bsq": lambda seed: layers.ProjectedQuantizer(layers.BSQ(8), DIM, seed=seed),
    "sim_vq": lambda seed: layers.SimVQ(CODES, DIM, seed=seed),
    "lfq": lambda seed: layers.ProjectedQuantizer(
        layers.LFQ(8, commitment_cost=0.25), DIM, seed=seed
    ),
}
"""Name of each member of the family to a function of the seed."""


class DigitVQVAE(keras.Model):
    """A convolutional autoencoder of `(batch, 8, 8, 1)` images with a quantiser in the middle.

    Args:
        quantizer: of vectors of width `DIM`.
        seed: of the initial weights.

    Example:

    >>> model = DigitVQVAE(layers.Codebook(4, DIM), seed=0)
    >>> tuple(model(np.zeros((2, 8, 8, 1), "float32")).shape)
    (2, 8, 8, 1)
    """

    def __init__(self, quantizer: layers.Quantizer, seed: int):
        super().__init__()
        draws = iter(range(100 * seed, 100 * seed + 5))

        def convolution(kind, channels, size, strides=1, activation="relu"):
            initializer = keras.initializers.GlorotUniform(seed=next(draws))
            return kind(
                channels,
                size,
                strides,
                "same",
                activation=activation,
                kernel_initializer=initializer,
            )

        down, up = keras.layers.Conv2D, keras.layers.Conv2DTranspose
        self.encoder = keras.Sequential(
            [
                convolution(down, DIM, 3),
                convolution(down, DIM, 4, 2),
                convolution(down, DIM, 3, activation=None),
            ]
        )
        self.quantizer = quantizer
        self.decoder = keras.Sequential(
            [convolution(up, DIM, 4, 2), convolution(down, 1, 3, activation=None)]
        )
        # Codes that are moving averages have no loss of their own; learned codes, a subclass, have.
        averages = (layers.Codebook, layers.ResidualQuantizer, layers.GroupedQuantizer)
        self.commits = type(quantizer) in averages

    def vectors(self, images: Any) -> Any:
        """Returns the vectors `(batch, POSITIONS, DIM)` of images."""
        return ops.reshape(self.encoder(images), (-1, POSITIONS, DIM))

    def call(self, inputs, training=False):
        vectors = self.vectors(inputs)
        found = self.quantizer(vectors, training=training)
        if training and self.commits:
            self.add_loss(0.25 * ops.mean(ops.square(vectors - found["codes"])))
        return self.decoder(ops.reshape(found["quantized"], (-1, 4, 4, DIM)))


def run(
    quantizers: tuple[str, ...] = tuple(QUANTIZERS),
    epochs: int = 20,
    rounds: int = 3,
    clock: str = "processor",
) -> dict[str, Any]:
    """Trains the autoencoder with each quantiser.

    Args:
        quantizers: keys of `QUANTIZERS`.
        epochs: of training, of ten batches of 150 images each.
        rounds: number of seeds, each with its own split, weights and codes.
        clock: `"processor"` or `"wall"`, of the seconds of training.

    Returns:
        `<name>_error`, the squared error of test images, `<name>_perplexity` and `<name>_used` of
        their codes, and `<name>_seconds`, each a mean over seeds, and its `_std`.

    Raises:
        ValueError: for an unknown quantiser.

    Example:

    >>> results = run(("fsq",), epochs=1, rounds=1)
    >>> 0 < results["fsq_error"] < 1
    True
    """
    from sklearn.datasets import load_digits

    unknown = sorted(set(quantizers) - set(QUANTIZERS))
    if unknown:
        raise ValueError(f"`quantizers` must be of {sorted(QUANTIZERS)}. Received: {unknown}")
    images = (load_digits().images / 16).astype("float32")[..., None]
    now = time.process_time if clock == "processor" else time.perf_counter
    results: dict[str, Any] = {"epochs": epochs, "seeds": rounds}
    for name in quantizers:
        rows = [
            trained(QUANTIZERS[name](seed), images, seed, epochs, now) for seed in range(rounds)
        ]
        for kind in rows[0]:
            values = [row[kind] for row in rows]
            results[f"{name}_{kind}"] = float(np.mean(values))
            if rounds > 1:
                results[f"{name}_{kind}_std"] = float(np.std(values, ddof=1))
    return results


def trained(
    quantizer: layers.Quantizer,
    images: np.ndarray,
    seed: int,
    epochs: int,
    now: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Trains one autoencoder and measures it on the images that it has not seen.

    Args:
        quantizer: the quantiser.
        images: float array `(images, 8, 8, 1)`.
        seed: of split and weights.
        epochs: of training.
        now: clock, in seconds.

    Returns:
        `"error"`, `"perplexity"`, `"used"` and `"seconds"`.
    """
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed).permutation(len(images))
    train, test = images[order[:NUM_TRAIN]], images[order[NUM_TRAIN:]]
    model = DigitVQVAE(quantizer, seed)
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    start = now()
    model.fit(train, train, batch_size=150, epochs=epochs, verbose=0)
    seconds = now() - start
    indices = ops.convert_to_numpy(quantizer.encode(model.vectors(test)))
    indices = indices.reshape(len(test) * POSITIONS, -1)
    # A pair of indices is one of 16 x 16 codes.
    numbers = indices[:, 0] * 16 + indices[:, 1] if indices.shape[1] == 2 else indices[:, 0]
    shares = np.bincount(numbers, minlength=CODES) / len(numbers)
    used = shares[shares > 0]
    total = CODES if quantizer.index_shape else quantizer.num_embeddings
    return {
        "error": float(np.mean(np.square(ops.convert_to_numpy(model(test)) - test))),
        "perplexity": float(np.exp(-np.sum(used * np.log(used)))),
        "used": len(used) / total,
        "seconds": seconds,
    }
