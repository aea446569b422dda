"""128-d summary of each second of sound: 32 log-mel bands in 4 stretches of equal energy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import fft

WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.010
NUM_BANDS, NUM_STRETCHES = 32, 4
MIN_HERTZ = 60.0
MIN_POWER = 1e-4
"""Floor of the mel power: -40 dB, about the level of background noise."""
NOISE_QUANTILE, NOISE_FACTOR = 0.2, 4.0
"""Sound is the energy of a frame above four times that of the quietest fifth, the noise."""
NOISE_WEIGHT = 5.0
"""A frame weighs sound / (sound + 5 noise): silence around a word does not dilute it.

Chosen, as were the number of bands and stretches, by a logistic regression from single spoken
digits to their class: 98 % of the validation segments with known speakers, 86 % with an unseen
one; without this weight 96 % and 76 %."""
MIN_NOISE = NUM_BANDS * MIN_POWER
"""Energy of a frame whose bands all lie at the floor."""
MIN_SOUND = 1e-6
"""Energy added to every frame; it spreads the stretches evenly over a second without sound."""


def spectrogram_sizes(sample_rate: int) -> tuple[int, int]:
    """Window and hop of the spectrogram.

    Args:
        sample_rate: in hertz.

    Returns:
        Window and hop, in samples.

    Example:
        >>> spectrogram_sizes(8000)
        (256, 80)
    """
    return round(WINDOW_SECONDS * sample_rate), round(HOP_SECONDS * sample_rate)


@functools.lru_cache
def mel_weights(
    num_bins: int,
    sample_rate: int,
    num_bands: int = NUM_BANDS,
    lowest: float = MIN_HERTZ,
    highest: float | None = None,
) -> np.ndarray:
    """Triangular filters on the HTK mel scale.

    Args:
        num_bins: frequency bins of the spectrogram, from 0 to half the sample rate.
        sample_rate: in hertz.
        num_bands: number of filters.
        lowest: where the first filter begins, in hertz.
        highest: where the last filter ends, in hertz; half the sample rate if None.

    Returns:
        (num_bins, num_bands) float32.

    Example:
        >>> mel_weights(129, 8000).shape
        (129, 32)
    """

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log1p(hertz / 700.0)

    low, high = mel(np.array([lowest, sample_rate / 2 if highest is None else highest]))
    edges = np.linspace(low, high, num_bands + 2)
    bins = mel(np.linspace(0.0, sample_rate / 2, num_bins))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights.astype(np.float32)


def mel_spectrogram(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mel bands of the short-time amplitude spectrum (Hann window, end padded with silence).

    Args:
        waveform: (..., samples) float.
        sample_rate: in hertz.

    Returns:
        (..., ceil(samples / hop), 32) float32.

    Example:
        >>> mel_spectrogram(np.zeros((10, 8000)), 8000).shape
        (10, 100, 32)
    """
    window, hop = spectrogram_sizes(sample_rate)
    num_frames = -(-waveform.shape[-1] // hop)
    padding = window + hop * (num_frames - 1) - waveform.shape[-1]
    padded = np.pad(
        np.asarray(waveform, np.float32), [(0, 0)] * (waveform.ndim - 1) + [(0, max(padding, 0))]
    )
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, -1)[..., ::hop, :]
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    amplitude = np.abs(fft.rfft(frames[..., :num_frames, :] * taper))
    return amplitude @ mel_weights(window // 2 + 1, sample_rate)


def decibels(mel: np.ndarray) -> np.ndarray:
    """Power of mel amplitudes in decibels, floored at `MIN_POWER`.

    Args:
        mel: amplitudes, any shape.

    Returns:
        The same shape, in dB.

    Example:
        >>> decibels(np.array([0.0, 1.0, 10.0]))
        array([-40.,   0.,  20.])
    """
    return 10.0 * np.log10(np.maximum(np.square(mel), MIN_POWER))


def summarise(mel: np.ndarray) -> np.ndarray:
    """Mean log-mel spectrum of each quarter of the sound's energy, wherever in the second it is.

    Args:
        mel: (..., frames, bands) mel amplitudes of one second each.

    Returns:
        (..., 4 * bands) float32, in dB.

    Example:
        >>> summarise(np.ones((10, 100, 32))).shape
        (10, 128)
    """
    energy = np.sum(np.square(mel, dtype=np.float64), axis=-1)
    noise = np.sort(energy, axis=-1)[..., int(NOISE_QUANTILE * energy.shape[-1]), None]
    noise = np.maximum(noise, MIN_NOISE)
    sound = np.maximum(energy - NOISE_FACTOR * noise, 0.0) + MIN_SOUND
    weight = sound / (sound + NOISE_WEIGHT * noise)
    sound /= np.sum(sound, axis=-1, keepdims=True)
    ends = np.cumsum(sound, axis=-1)[..., None]
    starts = ends - sound[..., None]
    edges = np.arange(NUM_STRETCHES + 1) / NUM_STRETCHES
    overlap = np.minimum(ends, edges[1:]) - np.maximum(starts, edges[:-1])
    share = np.maximum(overlap, 0.0) * (weight / sound)[..., None]
    share /= np.sum(share, axis=-2, keepdims=True)
    summary = np.swapaxes(share, -1, -2) @ decibels(mel).astype(np.float64)
    return summary.reshape(*summary.shape[:-2], -1).astype(np.float32)


class AudioFeatures:
    """Standardised summaries of one-second segments; the statistics are those of training clips.

    Args:
        sample_rate: of the waveforms, in hertz.
        road: "numpy", or "tensorflow-io" for the same numbers through TensorFlow.

    Raises:
        ValueError: the road is unknown.

    Example:
        >>> clips = np.random.default_rng(0).normal(size=(2, 80000))
        >>> features = AudioFeatures(8000).fit(clips)
        >>> features(clips).shape
        (2, 10, 128)
    """

    dim = NUM_BANDS * NUM_STRETCHES

    def __init__(self, sample_rate: int, road: str = "numpy") -> None:
        if road not in ("numpy", "tensorflow-io"):
            raise ValueError(f"`road` must be 'numpy' or 'tensorflow-io'; received: {road!r}")
        self.sample_rate = sample_rate
        self.road = road
        self.mean = np.zeros(self.dim, np.float32)
        self.std = np.ones(self.dim, np.float32)

    def summaries(self, waveforms: np.ndarray) -> np.ndarray:
        """Summaries in dB: (clips, seconds * sample_rate) to (clips, seconds, 128)."""
        # Clip by clip: faster than all at once, as the spectrogram of one fits in the cache.
        return np.stack(
            [self._summaries(np.reshape(clip, (-1, self.sample_rate))) for clip in waveforms]
        )

    def _summaries(self, segments: np.ndarray) -> np.ndarray:
        if self.road == "tensorflow-io":
            from data_tools.features import tensorflow_log_mel

            return np.asarray(
                tensorflow_log_mel.summarise(tensorflow_log_mel.mel_spectrogram(segments, self.sample_rate))
            )
        return summarise(mel_spectrogram(segments, self.sample_rate))

    def fit(self, waveforms: np.ndarray) -> AudioFeatures:
        """Takes mean and standard deviation of each feature from training clips."""
        values = self.summaries(waveforms).reshape(-1, self.dim).astype(np.float64)
        self.mean = values.mean(0).astype(np.float32)
        self.std = np.maximum(values.std(0), 1e-3).astype(np.float32)
        return self

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """Features: (clips, seconds * sample_rate) to (clips, seconds, 128) float32."""
        return (self.summaries(waveforms) - self.mean) / self.std

    def layer(self, dtype: str = "float64") -> Any:
        """The same as a Keras layer, to be served with a model: (clips, samples) to features.

        Args:
            dtype: "float32" where the format or the engine has no other; a thousandth of a
                standard deviation may then lie between the two.

        Returns:
            A `keras_cmg.layers.LogMelSummary`.
        """
        # Preparing features needs no Keras.
        from keras_cmg.layers.log_mel_summary import LogMelSummary

        return LogMelSummary(
            self.sample_rate, self.mean.tolist(), self.std.tolist(), dtype=dtype, name="log_mel"
        )

    def state(self) -> dict[str, np.ndarray]:
        """Fitted arrays by name."""
        return {"mean": self.mean, "std": self.std}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self.mean, self.std = state["mean"], state["std"]
