"""The log-mel summary of one-second segments: constants, mel filters, and pooling over time.

The one definition of the summary. `keras_cmg.layers.LogMelSummary` computes it inside a model, and
`data_tools.features` computes it on NumPy arrays and as TensorFlow operations. The functions take
the array namespace, NumPy or `keras.ops`, as an argument.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    # `data_tools.features.log_mel` loads this file without Keras.
    from keras_cmg.types import Tensor

WINDOW_SECONDS, HOP_SECONDS = 0.032, 0.010
"""Window and hop of the spectrogram."""

NUM_BANDS, NUM_STRETCHES = 32, 4
"""Mel bands, and stretches of equal energy that a second is divided into."""

NUM_FEATURES = NUM_BANDS * NUM_STRETCHES
"""Features of one second."""

MIN_HERTZ = 60.0
"""Lower edge of the first mel filter."""

MIN_POWER = 1e-4
"""Floor of the mel power: -40 dB, about the level of background noise."""

NOISE_QUANTILE, NOISE_FACTOR = 0.2, 4.0
"""The energy of a window above four times the 20 % quantile of the second counts as sound."""

NOISE_WEIGHT = 5.0
"""A window is weighted by sound / (sound + 5 noise), so that silence around a word does not dilute
it.

Chosen, as were the numbers of bands and stretches, by a logistic regression from single spoken
digits to their class: 98 % of the validation segments with known speakers, 86 % with an unseen
speaker; without this weight 96 % and 76 %."""

MIN_NOISE = NUM_BANDS * MIN_POWER
"""Energy of a window whose bands all lie at the floor."""

MIN_SOUND = 1e-6
"""Energy added to every window; it spreads the stretches evenly over a second without sound."""


def spectrogram_sizes(sample_rate: int) -> tuple[int, int]:
    """Computes the window and hop of the spectrogram in samples.

    Args:
        sample_rate: int, in hertz.

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
    min_hertz: float = MIN_HERTZ,
    max_hertz: float | None = None,
) -> np.ndarray:
    """Computes triangular filters on the HTK mel scale, `mel(f) = 1127 ln(1 + f / 700)`.

    Args:
        num_bins: int, frequency bins of the spectrogram, from 0 to half the sample rate.
        sample_rate: int, in hertz.
        num_bands: int, number of filters.
        min_hertz: float, lower edge of the first filter.
        max_hertz: float, upper edge of the last filter; default half the sample rate.

    Returns:
        Read-only float64 array `(num_bins, num_bands)`.

    Example:

    >>> weights = mel_weights(129, 8000)
    >>> weights.shape, round(float(weights.max()), 2)
    ((129, 32), 0.99)

    References:
        Stevens et al. (1937), A scale for the measurement of the psychological magnitude pitch;
        Young et al. (2002), The HTK Book, section 5.4.
    """

    def mel(hertz: Any) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    highest = sample_rate / 2 if max_hertz is None else max_hertz
    edges = np.linspace(mel(min_hertz), mel(highest), num_bands + 2)
    bins = mel(np.linspace(0.0, sample_rate / 2, num_bins))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    weights.flags.writeable = False
    return weights


def decibels(mel: Tensor, xp: Any = np) -> Tensor:
    """Computes the power of mel amplitudes in decibels, `10 log10 max(mel^2, MIN_POWER)`.

    Args:
        mel: float array or tensor of any shape, amplitudes.
        xp: array namespace, `numpy` or `keras.ops`.

    Returns:
        Array or tensor of the same shape, in dB.

    Example:

    >>> [round(float(v), 4) for v in decibels(np.array([0.0, 1.0, 10.0]))]
    [-40.0, 0.0, 20.0]
    """
    return 10.0 * xp.log10(xp.maximum(xp.square(mel), MIN_POWER))


def summarize_mel(mel: Tensor, xp: Any = np, dtype: str = "float64") -> Tensor:
    """Computes the mean log-mel spectrum of each quarter of a second's sound energy.

    Windows are divided among the stretches in proportion to their energy above the noise, so that
    the summary does not depend on where in the second a sound lies.

    Args:
        mel: float array or tensor `(..., windows, bands)`, mel amplitudes of one second each; the
            number of windows is static.
        xp: array namespace, `numpy` or `keras.ops`.
        dtype: floating-point type of the computation; `"float32"` where an engine or an export
            format has no other.

    Returns:
        Array or tensor `(..., NUM_STRETCHES, bands)` of `dtype`, in dB.

    Example:

    >>> summary = summarize_mel(np.ones((100, 32)))
    >>> summary.shape, round(float(summary[0, 0]), 4)
    ((4, 32), 0.0)
    """
    num_windows = mel.shape[-2]

    def cast(x):
        return x.astype(dtype) if xp is np else xp.cast(x, dtype)

    # Logarithms need no more digits than the amplitudes have, and are slow in double precision.
    levels = cast(decibels(mel, xp))
    energy = xp.sum(xp.square(cast(mel)), axis=-1)
    quantile = int(NOISE_QUANTILE * num_windows)
    noise = xp.sort(energy, axis=-1)[..., quantile : quantile + 1]
    noise = xp.maximum(noise, MIN_NOISE)
    sound = xp.maximum(energy - NOISE_FACTOR * noise, 0.0) + MIN_SOUND
    weight = sound / (sound + NOISE_WEIGHT * noise)
    sound = sound / xp.sum(sound, axis=-1, keepdims=True)
    # A product with a triangular matrix, as not every export format has a cumulative sum.
    earlier = xp.array(np.triu(np.ones((num_windows, num_windows)), 1), dtype)
    before = xp.matmul(sound, earlier)
    edges = xp.array(np.arange(NUM_STRETCHES + 1) / NUM_STRETCHES, dtype)
    before, sound, weight = (xp.expand_dims(x, -1) for x in (before, sound, weight))
    # Share of each window that lies before each edge. Clipped to [0, 1] rather than computed as a
    # difference of cumulative sums, which would lose digits in single precision.
    passed = xp.clip((edges - before) / sound, 0.0, 1.0)
    share = (passed[..., 1:] - passed[..., :-1]) * weight
    share = share / xp.sum(share, axis=-2, keepdims=True)
    return xp.matmul(xp.swapaxes(share, -1, -2), levels)
