"""Audio features: a standardised 128-d log-mel summary of each second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import fft

from data_tools.features.log_mel import definition as log_mel
from data_tools.io.arguments import check_choice

AUDIO_BACKENDS = ("numpy", "tensorflow-io")


def mel_spectrogram(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Computes mel bands of the short-time amplitude spectrum.

    The window is a periodic Hann window; the end of the waveform is padded with zeros.

    Args:
        waveform: (..., samples) float.
        sample_rate: in hertz.

    Returns:
        (..., ceil(samples / hop), 32) float32 amplitudes.

    Example:
        >>> mel_spectrogram(np.zeros((10, 8000)), 8000).shape
        (10, 100, 32)
    """
    window, hop = log_mel.spectrogram_sizes(sample_rate)
    num_frames = -(-waveform.shape[-1] // hop)
    padding = window + hop * (num_frames - 1) - waveform.shape[-1]
    padded = np.pad(
        np.asarray(waveform, np.float32), [(0, 0)] * (waveform.ndim - 1) + [(0, max(padding, 0))]
    )
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, -1)[..., ::hop, :]
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    amplitude = np.abs(fft.rfft(frames[..., :num_frames, :] * taper))
    return amplitude @ log_mel.mel_weights(window // 2 + 1, sample_rate).astype(np.float32)


def summarize(mel: np.ndarray) -> np.ndarray:
    """Computes the log-mel summary of seconds, see `keras_cmg.ops.summarize_mel`.

    Args:
        mel: (..., frames, bands) mel amplitudes of one second each.

    Returns:
        (..., 4 * bands) float32, in dB.

    Example:
        >>> summarize(np.ones((10, 100, 32))).shape
        (10, 128)
    """
    summary = log_mel.summarize_mel(mel)
    return summary.reshape(*summary.shape[:-2], -1).astype(np.float32)


class AudioFeatures:
    """Computes log-mel summaries of seconds, standardised by statistics of training clips.

    Args:
        sample_rate: sample rate of the waveforms, in hertz.
        audio_backend: "numpy", or "tensorflow-io" for the same numbers by TensorFlow operations.

    Raises:
        ValueError: if the backend is unknown.

    Example:
        >>> clips = np.random.default_rng(0).normal(size=(2, 80000))
        >>> features = AudioFeatures(8000).fit(clips)
        >>> features(clips).shape
        (2, 10, 128)
    """

    dim: int = log_mel.NUM_FEATURES

    def __init__(self, sample_rate: int, audio_backend: str = "numpy") -> None:
        check_choice("audio_backend", audio_backend, AUDIO_BACKENDS)
        self.sample_rate = sample_rate
        self.audio_backend = audio_backend
        self.mean = np.zeros(self.dim, np.float32)
        self.std = np.ones(self.dim, np.float32)

    def summaries(self, waveforms: np.ndarray) -> np.ndarray:
        """Computes summaries in dB: (clips, seconds * sample_rate) to (clips, seconds, 128)."""
        # One clip at a time is faster than all at once: its spectrogram fits into the cache.
        return np.stack(
            [self._summaries(np.reshape(clip, (-1, self.sample_rate))) for clip in waveforms]
        )

    def _summaries(self, segments: np.ndarray) -> np.ndarray:
        if self.audio_backend == "tensorflow-io":
            from data_tools.features import tensorflow_log_mel

            mel = tensorflow_log_mel.mel_spectrogram(segments, self.sample_rate)
            return np.asarray(tensorflow_log_mel.summarize(mel))
        return summarize(mel_spectrogram(segments, self.sample_rate))

    def fit(self, waveforms: np.ndarray) -> AudioFeatures:
        """Sets mean and standard deviation of each feature to those of training clips."""
        values = self.summaries(waveforms).reshape(-1, self.dim).astype(np.float64)
        self.mean = values.mean(0).astype(np.float32)
        self.std = np.maximum(values.std(0), 1e-3).astype(np.float32)
        return self

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """Computes features: (clips, seconds * sample_rate) to (clips, seconds, 128) float32."""
        return (self.summaries(waveforms) - self.mean) / self.std

    def layer(self, dtype: str = "float64") -> Any:
        """Makes a Keras layer that computes the same features, to be exported with a model.

        Args:
            dtype: "float32" where the format or the engine has no float64; features then differ
                by up to a thousandth of a standard deviation.

        Returns:
            A `keras_cmg.layers.LogMelSummary`, (clips, samples) to (clips, seconds, 128).
        """
        # Preparing features needs no Keras.
        from keras_cmg.layers.log_mel_summary import LogMelSummary

        return LogMelSummary(
            self.sample_rate, self.mean.tolist(), self.std.tolist(), dtype=dtype, name="log_mel"
        )

    def state(self) -> dict[str, np.ndarray]:
        """Returns the fitted arrays by name."""
        return {"mean": self.mean, "std": self.std}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores the arrays that `state` returned."""
        self.mean, self.std = state["mean"], state["std"]
