"""Reads WAV files, and operations on waveforms that data sets share."""

from __future__ import annotations

import io
import wave

import numpy as np
from scipy import signal

from data_tools.io.files import reading


def read_wav(source: bytes, name: str, sample_rate: int) -> np.ndarray:
    """Reads the samples of a mono 16-bit PCM WAV file.

    Args:
        source: content of the file.
        name: its name in error messages.
        sample_rate: the rate that it must have, in hertz.

    Returns:
        (samples,) float32 in [-1, 1).

    Raises:
        ValueError: if the file is damaged or truncated, or has another format.

    Example:
        >>> stream = io.BytesIO()
        >>> with wave.open(stream, "wb") as file:
        ...     file.setparams((1, 2, 8000, 0, "NONE", None))
        ...     file.writeframes(np.array([0, 16384], "<i2").tobytes())
        >>> read_wav(stream.getvalue(), "half.wav", 8000)
        array([0. , 0.5], dtype=float32)
    """
    with reading(name, "be a PCM WAV file"), wave.open(io.BytesIO(source)) as file:
        found = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
        num_samples, content = file.getnframes(), file.readframes(file.getnframes())
    if found != (1, 16, sample_rate):
        raise ValueError(
            f"{name} must have 1 channel, 16 bits and {sample_rate} Hz. "
            f"Received: {found[0]} channel(s), {found[1]} bits and {found[2]} Hz"
        )
    if num_samples == 0 or len(content) != 2 * num_samples:
        raise ValueError(
            f"{name} must hold at least one sample and all that its header announces "
            f"({2 * num_samples} bytes). Received: {len(content)} bytes"
        )
    return np.frombuffer(content, "<i2").astype(np.float32) / 32768


def normalize_loudness(waveform: np.ndarray, level: float = 0.1) -> np.ndarray:
    """Scales a waveform to a root-mean-square level and clips it to [-1, 1].

    Args:
        waveform: (samples,) float.
        level: root mean square to reach; silence stays silence.

    Returns:
        (samples,) float32.

    Example:
        >>> normalize_loudness(np.array([3.0, -3.0]), level=0.5)
        array([ 0.5, -0.5], dtype=float32)
    """
    rms = np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))
    return np.clip(waveform * (level / max(rms, 1e-8)), -1, 1).astype(np.float32)


def fit_length(waveform: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Fits a waveform to a length: crops to the loudest part, or pads with silence on both sides.

    Args:
        waveform: (samples,) float.
        length: samples wanted.
        rng: draws where a shorter waveform begins.

    Returns:
        (length,) float32.

    Example:
        >>> fit_length(np.array([0.0, 1.0, 1.0, 0.0]), 2, np.random.default_rng(0))
        array([1., 1.], dtype=float32)
    """
    surplus = len(waveform) - length
    if surplus >= 0:
        energy = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
        start = int(np.argmax(energy[length:] - energy[: surplus + 1]))
        return waveform[start : start + length].astype(np.float32)
    result = np.zeros(length, np.float32)
    start = int(rng.integers(0, -surplus + 1))
    result[start : start + len(waveform)] = waveform
    return result


def coloured_noise(length: int, level: float, tilt: float, rng: np.random.Generator) -> np.ndarray:
    """Draws Gaussian noise and applies a one-pole low-pass filter.

    Args:
        length: samples.
        level: root mean square.
        tilt: pole in [0, 1): 0 gives white noise, near 1 a rumble.
        rng: draws the noise.

    Returns:
        (length,) float32.

    Example:
        >>> noise = coloured_noise(8000, 0.01, 0.5, np.random.default_rng(0))
        >>> round(float(np.std(noise)), 3)
        0.01
    """
    white = rng.standard_normal(length, dtype=np.float32)
    noise = signal.lfilter([np.float32(1)], np.array([1, -tilt], np.float32), white)
    return (noise * (level * np.sqrt(1 - tilt**2))).astype(np.float32)
