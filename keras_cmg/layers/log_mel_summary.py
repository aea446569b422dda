"""A layer that computes the log-mel summary of waveforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.precision import variable_dtype
from keras_cmg.ops import log_mel


@keras.saving.register_keras_serializable("keras_cmg")
class LogMelSummary(keras.layers.Layer):
    """Computes the log-mel summary of waveforms: one vector per second.

    Each second becomes the mean log-mel spectrum of each quarter of its sound energy, standardised
    by fixed statistics: the features that `data_tools` prepares, computed inside a model. The last
    second is padded with silence. The layer has no weights and behaves alike in training and
    inference. The Fourier transform is a matrix product, which every export format supports.

    Masks: none are read. Padding with zeros is silence; a mask of the resulting seconds must be
    passed to later layers by the caller.

    Args:
        sample_rate: int, of the waveforms, in hertz, at least 1000.
        mean: sequence of 128 floats, mean of each feature over training clips, in dB; default 0.
        std: sequence of 128 floats, standard deviation of each feature, in dB; default 1.
        dtype: dtype policy; computation uses its variable dtype.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, samples)`, in [-1, 1].

    Returns:
        Float tensor `(batch, ceil(samples / sample_rate), 128)`, in standard deviations.

    Raises:
        ValueError: if `sample_rate` is below 1000, if `mean` or `std` do not hold 128 finite
            numbers, if a standard deviation is not positive, or if the inputs are not of rank 2.

    Example:

    >>> layer = keras_cmg.layers.LogMelSummary(sample_rate=8000)
    >>> features = layer(np.zeros((2, 20000), "float32"))
    >>> tuple(features.shape), round(float(features[0, 0, 0]), 2)
    ((2, 3, 128), -40.0)

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
        super().__init__(dtype=variable_dtype(dtype), **kwargs)
        if sample_rate < 1000:
            raise ValueError(f"`sample_rate` must be at least 1000 hertz. Received: {sample_rate}")
        self.sample_rate = int(sample_rate)
        self.mean = self._statistic("mean", mean, 0.0)
        self.std = self._statistic("std", std, 1.0)
        if min(self.std) <= 0:
            raise ValueError(f"`std` must be positive. Received: {min(self.std)}")

    def _statistic(self, name: str, given: Any, default: float) -> tuple[float, ...]:
        values = np.full(self.dim, default) if given is None else np.asarray(given, "float64")
        finite = np.isfinite(values)
        if values.shape != (self.dim,) or not finite.all():
            raise ValueError(
                f"`{name}` must hold {self.dim} finite numbers. Received shape {values.shape}, "
                f"{int(finite.sum())} of them finite"
            )
        return tuple(values.tolist())

    @property
    def dim(self) -> int:
        """Number of features of one second."""
        return log_mel.NUM_FEATURES

    def build(self, input_shape: Any) -> None:
        self._check(input_shape)
        window, hop = log_mel.spectrogram_sizes(self.sample_rate)
        num_windows = -(-self.sample_rate // hop)
        self.padding = max(0, window + hop * (num_windows - 1) - self.sample_rate)
        self.window_samples = hop * np.arange(num_windows)[:, None] + np.arange(window)
        angles = 2 * np.pi / window * np.outer(np.arange(window), np.arange(window // 2 + 1))
        taper = np.hanning(window + 1)[:-1, None]
        # Real and imaginary parts side by side.
        self.transform = np.concatenate([taper * np.cos(angles), taper * np.sin(angles)], axis=1)
        self.mel_weights = log_mel.mel_weights(window // 2 + 1, self.sample_rate)
        self.built = True

    def call(self, inputs):
        self._check(inputs.shape)
        x = ops.cast(inputs, self.compute_dtype)
        batch, samples = ops.shape(x)[:2]
        seconds = (samples + self.sample_rate - 1) // self.sample_rate
        x = ops.pad(x, [[0, 0], [0, self.sample_rate - 1]])[:, : seconds * self.sample_rate]
        x = ops.reshape(x, (batch, seconds, self.sample_rate))
        x = ops.pad(x, [[0, 0], [0, 0], [0, self.padding]])
        windows = ops.take(x, self.window_samples, axis=-1)
        spectrum = ops.matmul(windows, ops.cast(self.transform, x.dtype))
        real, imaginary = ops.split(spectrum, 2, axis=-1)
        amplitude = ops.sqrt(ops.square(real) + ops.square(imaginary))
        mel = ops.matmul(amplitude, ops.cast(self.mel_weights, x.dtype))
        summary = log_mel.summarize_mel(mel, ops, self.compute_dtype)
        features = ops.reshape(summary, (batch, seconds, self.dim))
        mean, std = (ops.cast(values, x.dtype) for values in (self.mean, self.std))
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
        names = "sample_rate mean std".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
