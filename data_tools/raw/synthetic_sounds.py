"""Synthesises ten kinds of one-second sounds."""

from __future__ import annotations

import numpy as np

SAMPLE_RATE = 8000
_TIME = (np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)


def _tones(pitch: np.ndarray | float, partials: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Computes a sum of partials (multiple of the pitch, amplitude); the pitch may vary in time."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(np.float32(pitch), _TIME.shape)) / SAMPLE_RATE
    phase = np.mod(phase, 2 * np.pi * 100).astype(np.float32)
    total = np.zeros_like(phase)
    for multiple, amplitude in partials:
        total += amplitude * np.sin(phase * multiple)
    return total


def _decay(period: float, rate: float) -> np.ndarray:
    """Computes an envelope of decaying strokes."""
    return np.exp(-rate * np.mod(_TIME, np.float32(period)))


def _pulse(rate: float, share: float) -> np.ndarray:
    """Computes an envelope that is 1 for a share of each period."""
    return (np.mod(_TIME * np.float32(rate), 1) < share).astype(np.float32)


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(SAMPLE_RATE, dtype=np.float32)


def render_sound(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Synthesises one second of a sound; `rng` determines pitch, speed, level and onset.

    Args:
        kind: "bell", "siren", "flute", "drum", "buzzer", "alarm", "engine", "bird", "steam" or
            "organ".
        rng: draws the variation.

    Returns:
        (8000,) float32, peak at most 1.

    Raises:
        ValueError: if the kind is unknown.

    Example:
        >>> render_sound("bell", np.random.default_rng(0)).shape
        (8000,)
    """
    shift = float(2 ** rng.uniform(-0.4, 0.4))
    speed = float(rng.uniform(0.8, 1.25))
    match kind:
        case "bell":
            partials = ((1.0, 0.5), (2.0, 0.4), (2.4, 0.5), (3.0, 0.3), (4.5, 0.3))
            sound = _tones(520 * shift, partials) * _decay(0.5 / speed, 6)
        case "siren":
            sweep = 700 + 350 * np.sin(2 * np.pi * (1.2 * speed * _TIME + rng.uniform()))
            sound = _tones(sweep * shift, ((1, 0.8), (2, 0.3)))
        case "flute":
            vibrato = 1 + 0.01 * np.sin(2 * np.pi * 5 * speed * _TIME)
            sound = _tones(600 * shift * vibrato, ((1, 0.9), (2, 0.1))) + 0.05 * _noise(rng)
        case "drum":
            low = _tones(90 * shift, ((1, 1.0), (1.6, 0.5)))
            sound = (low + 0.3 * _noise(rng)) * _decay(0.33 / speed, 18)
        case "buzzer":
            sound = np.sign(_tones(140 * shift, ((1, 1.0),))) * _pulse(2 * speed, 0.7)
        case "alarm":
            pitch = np.where(_pulse(3 * speed, 0.5) > 0, 1100.0, 1600.0)
            sound = _tones(pitch * shift, ((1, 0.8), (2, 0.2)))
        case "engine":
            strokes = 0.6 + 0.4 * np.sin(2 * np.pi * 22 * speed * _TIME)
            harmonics = tuple((float(k), 1 / k) for k in range(1, 9))
            sound = (_tones(70 * shift, harmonics) + 0.4 * _noise(rng)) * strokes
        case "bird":
            chirp = 2200 + 900 * np.mod(_TIME * np.float32(5 * speed), 1)
            sound = _tones(chirp * min(shift, 1.15), ((1, 1.0),)) * _pulse(5 * speed, 0.6)
        case "steam":
            sound = np.diff(_noise(rng), append=np.float32(0))
            sound = sound * (0.7 + 0.3 * np.sin(2 * np.pi * speed * _TIME))
        case "organ":
            chord = tuple((ratio * k, 0.4 / k) for ratio in (1, 1.25, 1.5) for k in (1.0, 2.0, 4.0))
            sound = _tones(260 * shift, chord)
        case _:
            raise ValueError(f"`kind` must be a known sound. Received: {kind!r}")
    onset, length = int(rng.integers(0, 2000)), int(rng.integers(4000, 6001))
    result = np.zeros(SAMPLE_RATE, np.float32)
    result[onset : onset + length] = sound[:length]
    return result * np.float32(rng.uniform(0.2, 1.0) / max(np.abs(result).max(), 1e-6))
