"""Limits of what a sound file, or the sound of a video file, may announce."""

from __future__ import annotations

from data_tools.decoding.signatures import DecodeError

MAX_RATE = 384_000
MAX_CHANNELS = 64
"""Largest sample rate in hertz, and number of channels, that is decoded."""


def check_track(rate: int, channels: int) -> int:
    """Checks what a file announces of its sound, before anything of it is decoded.

    Args:
        rate: sample rate in hertz.
        channels: number of channels.

    Returns:
        The rate.

    Raises:
        DecodeError: if the rate is not positive or above 384 kHz, or there are more than 64
            channels.

    Example:
        >>> check_track(44100, 2)
        44100
    """
    if not 0 < rate <= MAX_RATE:
        raise DecodeError(f"has a sample rate of {rate} Hz")
    if not 0 < channels <= MAX_CHANNELS:
        raise DecodeError(f"has {channels} channels")
    return rate
