"""Media of clips for reports: spectrograms, film strips, sounds."""

from __future__ import annotations

import io
import wave

import numpy as np
from matplotlib.figure import Figure

from recipes.reporting.charts import png


def spectrogram(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Draws the spectrogram of a clip, over a range of 80 dB.

    Args:
        waveform: (samples,) float.
        sample_rate: samples per second.

    Returns:
        Content of a PNG file.

    Example:

    >>> spectrogram(np.zeros(8000), 8000)[1:4]
    b'PNG'
    """
    size, hop = 256, 128
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=-1)) ** 2
    decibels = 10 * np.log10(power.T + 1e-10)
    figure = Figure(figsize=(5, 1.15))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=decibels.max() - 80,
        vmax=decibels.max(),
        extent=(0, len(waveform) / sample_rate, 0, sample_rate / 2),
    )
    axes.set_axis_off()
    return png(figure, dpi=100)


def film_strip(frames: np.ndarray) -> bytes:
    """Draws the pictures of a clip in a row.

    Args:
        frames: (segments, height, width[, 3]) uint8.

    Returns:
        Content of a PNG file.

    Example:

    >>> film_strip(np.zeros((10, 28, 28), "uint8"))[1:4]
    b'PNG'
    """
    gap = max(1, frames.shape[2] // 28)
    border = [(0, 0), (0, 0), (0, gap)] + [(0, 0)] * (frames.ndim - 3)
    strip = np.concatenate(list(np.pad(frames, border, constant_values=255)), axis=1)
    figure = Figure(figsize=(strip.shape[1] / 100, strip.shape[0] / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(strip, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="none")
    axes.set_axis_off()
    return png(figure, dpi=100 if frames.shape[1] > 40 else 200)


def wav(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Encodes a waveform as a WAV file.

    Args:
        waveform: (samples,) float in [-1, 1].
        sample_rate: samples per second.

    Returns:
        Content of a 16-bit WAV file.

    Example:

    >>> wav(np.zeros(4), 8000)[:4]
    b'RIFF'
    """
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())
    return stream.getvalue()
