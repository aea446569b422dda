"""Brings sounds and pictures to one length, bandwidth, loudness, size and coding."""

from __future__ import annotations

import hashlib
import io
import os

import numpy as np
from PIL import Image

from data_tools.decoding import decode_audio, decode_picture
from data_tools.decoding.sounds import resample
from data_tools.raw.waveforms import coloured_noise, normalize_loudness

SAMPLE_RATE = 16_000
MAX_SECONDS = 5
"""Of a recording that are used."""
LEVEL, FLOOR = 0.1, 0.001
"""Root mean square of a recording, and of the noise that is added to each: gates and digital
silence cannot be heard below it."""
QUIET_DECIBELS = 30.0
"""A second that is so much quieter than the loudest one of its recording is left out."""
JPEG_QUALITY = 75


def render_sound(path: str | os.PathLike[str], bandwidth: int, name: str) -> np.ndarray:
    """Renders a recording: whole seconds of one bandwidth, loudness and noise floor.

    Args:
        path: the file.
        bandwidth: highest frequency, in hertz.
        name: seed of the noise.

    Returns:
        (samples,) int16 at `SAMPLE_RATE`, 1 to `MAX_SECONDS` whole seconds.

    Raises:
        DecodeError: if the file cannot be used.
    """
    waveform = decode_audio(path, 2 * bandwidth, 2 * MAX_SECONDS)
    waveform = resample(waveform, 2 * bandwidth, SAMPLE_RATE)
    waveform = _without_silent_ends(waveform)
    seconds = min(max(1, round(len(waveform) / SAMPLE_RATE)), 2 * MAX_SECONDS)
    rows = np.resize(waveform, (seconds, SAMPLE_RATE))
    power = np.square(rows, dtype=np.float64).mean(1)
    rows = rows[power >= power.max() * 10 ** (-QUIET_DECIBELS / 10)][:MAX_SECONDS]
    rows = normalize_loudness(rows.reshape(-1), LEVEL)
    rows = rows + coloured_noise(len(rows), FLOOR, 0.0, generator(name))
    return np.round(np.clip(rows, -1, 1) * 32767).astype(np.int16)


def render_picture(path: str | os.PathLike[str], side: int) -> np.ndarray:
    """Renders a picture: a square of one size, after one JPEG coding.

    Args:
        path: the file.
        side: pixels of a side.

    Returns:
        (side, side, 3) uint8.

    Raises:
        DecodeError: if the file cannot be used.
    """
    return recoded(decode_picture(path, side))


def recoded(picture: np.ndarray) -> np.ndarray:
    """Returns a picture after one JPEG coding, the same for all.

    Args:
        picture: (height, width, 3) uint8.

    Returns:
        The same shape.

    Example:
        >>> recoded(np.zeros((8, 8, 3), np.uint8)).shape
        (8, 8, 3)
    """
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=JPEG_QUALITY)
    return np.asarray(Image.open(stream).convert("RGB"))


def generator(name: str) -> np.random.Generator:
    """Returns a generator of random numbers whose seed is a hash of a name.

    Args:
        name: the name.

    Example:
        >>> int(generator("a").integers(100)) == int(generator("a").integers(100))
        True
    """
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def _without_silent_ends(waveform: np.ndarray) -> np.ndarray:
    step = SAMPLE_RATE // 50
    count = len(waveform) // step
    if count < 2:
        return waveform
    power = np.square(waveform[: count * step], dtype=np.float64).reshape(count, step).mean(1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-QUIET_DECIBELS / 10))
    return waveform[loud[0] * step : (loud[-1] + 1) * step]
