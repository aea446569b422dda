"""Recordings and pictures that are nearly the same, found by correlation of the signals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_tools.features.audio import mel_spectrogram

SOUND_LIMIT, PICTURE_LIMIT = 0.9, 0.97
"""Correlation from which two recordings, or two pictures, are taken for copies."""
FRAMES_PER_STEP = 2
"""Frames of the spectrogram, 10 ms each, that are averaged: copies are out of step by 10 ms at
most, which matters for beats that are hardly longer."""
MIN_OVERLAP = 25
"""Steps, about half a second, that two recordings must share at least."""
BLOCK = 512


def alike_pictures(
    pictures: np.ndarray, limit: float = PICTURE_LIMIT
) -> list[tuple[int, int, float]]:
    """Pairs of pictures whose pixels correlate.

    Args:
        pictures: (n, height, width, channels) uint8.
        limit: least correlation.

    Returns:
        Positions of the two and the correlation, for each pair.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> first = rng.integers(0, 200, (8, 8, 3))
        >>> pictures = np.stack([first, rng.integers(0, 200, (8, 8, 3)), first + 20])
        >>> [(one, other) for one, other, _ in alike_pictures(pictures.astype(np.uint8))]
        [(0, 2)]
    """
    if not len(pictures):
        return []
    rows = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    found = []
    for start in range(0, len(rows), BLOCK):
        scores = rows[start : start + BLOCK] @ rows.T
        for one, other in np.argwhere(scores >= limit).tolist():
            if start + one < other:
                found.append((start + one, other, float(scores[one, other])))
    return found


def alike_sounds(
    waveforms: Sequence[np.ndarray], sample_rate: int, limit: float = SOUND_LIMIT
) -> list[tuple[int, int, float]]:
    """Pairs of recordings whose log-mel spectra correlate at some shift.

    The shorter one may be a part of the longer one.

    Args:
        waveforms: (samples,) float each.
        sample_rate: in hertz.
        limit: least correlation over the time that both are heard.

    Returns:
        Positions of the two and the correlation, for each pair.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> first, other = rng.normal(size=(2, 32000)) * np.repeat(rng.random((2, 40)), 800, axis=1)
        >>> found = alike_sounds([first, other, first[8000:24000]], 16000)
        >>> [(one, other) for one, other, _ in found]
        [(0, 2)]
    """
    patterns = [_pattern(waveform, sample_rate) for waveform in waveforms]
    if not patterns:
        return []
    lengths = np.array([len(pattern) for pattern in patterns])
    size = 2 ** int(np.ceil(np.log2(2 * lengths.max())))
    padded = np.zeros((len(patterns), patterns[0].shape[1], size), np.float32)
    for row, pattern in zip(padded, patterns, strict=True):
        row[:, : len(pattern)] = pattern.T
    spectra = np.fft.rfft(padded).astype(np.complex64)
    heard = (np.arange(size) < lengths[:, None]).astype(np.float32)
    heard_spectra = np.fft.rfft(heard)
    energy_spectra = np.fft.rfft(np.square(padded).sum(1))
    found = []
    for one in range(len(patterns) - 1):
        rest = slice(one + 1, None)
        # At each shift: products, energy of either where the other is heard, steps of overlap.
        products = np.fft.irfft(
            np.einsum("bf,nbf->nf", spectra[one].conj(), spectra[rest]), size, axis=-1
        )
        mine = np.fft.irfft(energy_spectra[one].conj() * heard_spectra[rest], size, axis=-1)
        others = np.fft.irfft(heard_spectra[one].conj() * energy_spectra[rest], size, axis=-1)
        overlap = np.fft.irfft(heard_spectra[one].conj() * heard_spectra[rest], size, axis=-1)
        least = np.minimum(MIN_OVERLAP, np.minimum(lengths[one], lengths[rest]))[:, None]
        # An excerpt lies wholly within the longer recording, but for a fifth.
        least = np.maximum(least, 0.8 * np.minimum(lengths[one], lengths[rest])[:, None])
        valid = overlap >= least - 0.5
        scores = products / np.sqrt(np.maximum(mine * others, 1e-6))
        best = np.where(valid, scores, -1).max(1)
        found += [
            (one, one + 1 + other, float(best[other]))
            for other in np.flatnonzero(best >= limit).tolist()
        ]
    return found


def _pattern(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Log-mel bands over time, without their means: (steps, bands)."""
    mel = mel_spectrogram(waveform, sample_rate)
    steps = max(1, len(mel) // FRAMES_PER_STEP)
    mel = mel[: steps * FRAMES_PER_STEP].reshape(steps, -1, mel.shape[1]).mean(1)
    bands = np.log(mel + 1e-2)
    return (bands - bands.mean(0)).astype(np.float32)
