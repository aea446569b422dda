"""A waveform becomes one vector per second: log-mel spectra of stretches of equal energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.precision import full_precision

NUM_BANDS, NUM_STRETCHES = 32, 4
WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.010
MIN_HERTZ = 60.0
MIN_POWER = 1e-4
NOISE_QUANTILE, NOISE_FACTOR, NOISE_WEIGHT = 0.2, 4.0, 5.0
MIN_NOISE, MIN_SOUND = NUM_BANDS * MIN_POWER, 1e-6
"""The numbers of `data_tools.features.audio`, which says why; a test holds the two together."""


@keras.saving.register_keras_serializable("keras_cmg")
class LogMelSummary(keras.layers.Layer):
    """The summary of sound that `data_tools` prepares, inside a model.

    Each second becomes the mean log-mel spectrum of each quarter of its energy, standardised. The
    last second is filled with silence. Training and inference are alike; nothing is learned. The
    Fourier transform is a matrix product, which every export format knows.

    Args:
        sample_rate: of the waveforms, in hertz.
        mean: of each of the 128 features over training clips, in dB; default 0.
        std: their standard deviation; default 1.
        dtype: a policy; computation takes the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, samples)`, in [-1, 1].

    Returns:
        Float tensor `(batch, ceil(samples / sample_rate), 128)`.

    Raises:
        ValueError: for a sample rate below 1000, statistics of another size, or inputs that are
            not rank 2.

    Example:

    >>> layer = keras_cmg.layers.LogMelSummary(sample_rate=8000)
    >>> tuple(layer(np.zeros((2, 20000), "float32")).shape)
    (2, 3, 128)

    References:
        Stevens et al. (1937), A scale for the measurement of the psychological magnitude pitch.
    """

    def __init__(
        self,
        sample_rate: int = 8000,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if sample_rate < 1000:
            raise ValueError(f"`sample_rate` must be at least 1000 hertz. Received: {sample_rate}")
        self.sample_rate = int(sample_rate)
        self.statistics = {}
        for name, given, default in (("mean", mean, 0.0), ("std", std, 1.0)):
            values = np.full(self.dim, default) if given is None else np.asarray(given, "float64")
            if values.shape != (self.dim,) or not np.isfinite(values).all():
                raise ValueError(
                    f"`{name}` must hold {self.dim} finite numbers. "
                    f"Received shape {values.shape}: {values}"
                )
            self.statistics[name] = values.tolist()
        if min(self.statistics["std"]) <= 0:
            raise ValueError(f"`std` must be positive. Received: {min(self.statistics['std'])}")

    @property
    def dim(self) -> int:
        """Number of features of a second."""
        return NUM_BANDS * NUM_STRETCHES

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        window = round(WINDOW_SECONDS * self.sample_rate)
        hop = round(HOP_SECONDS * self.sample_rate)
        self.num_windows = -(-self.sample_rate // hop)
        self.padding = max(0, window + hop * (self.num_windows - 1) - self.sample_rate)
        self.positions = hop * np.arange(self.num_windows)[:, None] + np.arange(window)
        angles = 2 * np.pi / window * np.outer(np.arange(window), np.arange(window // 2 + 1))
        taper = np.hanning(window + 1)[:-1, None]
        # Real and imaginary parts side by side.
        self.transform = np.concatenate([taper * np.cos(angles), taper * np.sin(angles)], axis=1)
        self.mel = _mel_weights(window // 2 + 1, self.sample_rate)
        self.built = True

    def call(self, inputs):
        self._check(inputs.shape)
        x = ops.cast(inputs, self.compute_dtype)
        batch, samples = ops.shape(x)[:2]
        seconds = (samples + self.sample_rate - 1) // self.sample_rate
        x = ops.pad(x, [[0, 0], [0, self.sample_rate - 1]])[:, : seconds * self.sample_rate]
        x = ops.reshape(x, (batch, seconds, self.sample_rate))
        x = ops.pad(x, [[0, 0], [0, 0], [0, self.padding]])
        windows = ops.take(x, self.positions, axis=-1)
        spectrum = ops.matmul(windows, ops.cast(self.transform, x.dtype))
        real, imaginary = ops.split(spectrum, 2, axis=-1)
        amplitude = ops.sqrt(ops.square(real) + ops.square(imaginary))
        summary = _summarise(ops.matmul(amplitude, ops.cast(self.mel, x.dtype)), self.num_windows)
        features = ops.reshape(summary, (batch, seconds, self.dim))
        mean, std = (ops.cast(self.statistics[name], x.dtype) for name in ("mean", "std"))
        return (features - mean) / std

    def _check(self, shape: Any) -> None:
        if len(shape) != 2:
            raise ValueError(
                f"{self.name}: waveforms must have shape (batch, samples). "
                f"Received shape {tuple(shape)}."
            )

    def compute_output_shape(self, input_shape):
        samples = input_shape[1]
        return (input_shape[0], samples and -(-samples // self.sample_rate), self.dim)

    def get_config(self):
        return {**super().get_config(), "sample_rate": self.sample_rate, **self.statistics}


def _mel_weights(num_bins: int, sample_rate: int) -> np.ndarray:
    """Triangular filters on the HTK mel scale, `(num_bins, bands)`."""

    def mel(hertz: Any) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(MIN_HERTZ), mel(sample_rate / 2), NUM_BANDS + 2)
    bins = mel(np.linspace(0.0, sample_rate / 2, num_bins))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def _summarise(mel, num_windows: int):
    """Mean log-mel spectrum of each stretch: `(..., windows, bands)` to `(..., stretches, bands)`.

    Works like its namesake in `data_tools.features.audio`, which takes double precision for small
    differences of large sums; here shares of a window are cut off at 0 and 1 instead.
    """
    energy = ops.sum(ops.square(mel), axis=-1)
    quiet = int(NOISE_QUANTILE * num_windows)
    noise = ops.sort(energy, axis=-1)[..., quiet : quiet + 1]
    noise = ops.maximum(noise, MIN_NOISE)
    sound = ops.maximum(energy - NOISE_FACTOR * noise, 0.0) + MIN_SOUND
    weight = sound / (sound + NOISE_WEIGHT * noise)
    sound = sound / ops.sum(sound, axis=-1, keepdims=True)
    # A product with a triangle, since a running sum does not exist in every export format.
    earlier = np.triu(np.ones((num_windows, num_windows)), 1)
    before = ops.matmul(sound, ops.cast(earlier, mel.dtype))
    edges = ops.cast(np.arange(NUM_STRETCHES + 1) / NUM_STRETCHES, mel.dtype)
    before, sound, weight = (ops.expand_dims(x, -1) for x in (before, sound, weight))
    passed = ops.clip((edges - before) / sound, 0.0, 1.0)
    share = (passed[..., 1:] - passed[..., :-1]) * weight
    share = share / ops.sum(share, axis=-2, keepdims=True)
    power = ops.maximum(ops.square(mel), MIN_POWER)
    decibels = ops.log(power) * float(10 / np.log(10))
    return ops.matmul(ops.swapaxes(share, -1, -2), decibels)
