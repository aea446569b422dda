"""Decodes sound files to mono waveforms at one sample rate."""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

import numpy as np
from scipy import signal

from data_tools.decoding.signatures import SOUNDS, DecodeError, decoding, kind_of
from data_tools.decoding.tracks import check_track

SILENCE = 1e-4
"""Peak below which a sound is silent: -80 dB of full scale."""
BLOCK = 65_536


def decode_audio(path: str | os.PathLike[str], sample_rate: int, seconds: float) -> np.ndarray:
    """Decodes the beginning of a sound file (WAV, FLAC, Ogg, MP3) or of a video's audio.

    Args:
        path: the file.
        sample_rate: sample rate of the result, in hertz.
        seconds: how much is read at most; what follows is neither read nor checked.

    Returns:
        (samples,) float32, channels averaged.

    Raises:
        DecodeError: if the file is missing, empty, damaged or truncated, if its name does not match
            its content, if it is silent, or if a sample is not finite.

    Example:
        >>> import soundfile
        >>> tone = np.sin(np.arange(8000) / 5)
        >>> soundfile.write("tone.flac", tone, 8000)
        >>> decode_audio("tone.flac", 16000, 10).shape
        (16000,)
    """
    path = Path(path)
    kind = kind_of(path)
    if kind in SOUNDS.values():
        samples, rate = _read_sound(path, kind, seconds)
    else:
        from data_tools.decoding.videos import read_track

        samples, rate = read_track(path, seconds)
    if not len(samples):
        raise DecodeError("holds no samples")
    if not np.isfinite(samples).all():
        raise DecodeError("holds samples that are not finite")
    if np.abs(samples).max() < SILENCE:
        raise DecodeError("is silent")
    return resample(samples, rate, sample_rate)


def resample(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Resamples a waveform with a polyphase filter.

    Args:
        samples: (samples,) float.
        rate: rate of the samples, in hertz.
        sample_rate: sample rate of the result, in hertz.

    Returns:
        (about samples * sample_rate / rate,) float32.

    Example:
        >>> resample(np.ones(441), 44100, 16000).shape
        (160,)
    """
    if rate != sample_rate:
        common = math.gcd(rate, sample_rate)
        up, down = sample_rate // common, rate // common
        samples = signal.resample_poly(
            samples.astype(np.float32), up, down, window=_resampling_filter(max(up, down))
        )
    return samples.astype(np.float32, copy=False)


@functools.lru_cache(maxsize=16)
def _resampling_filter(ratio: int) -> np.ndarray:
    """The default filter of `scipy.signal.resample_poly`, which designs it anew in each call."""
    design = signal.firwin(20 * ratio + 1, 1.0 / ratio, window=("kaiser", 5.0))
    return design.astype(np.float32)


def _read_sound(path: Path, kind: str, seconds: float) -> tuple[np.ndarray, int]:
    import soundfile

    _check_whole(path, kind)
    blocks = []
    with decoding(path), soundfile.SoundFile(path) as file:
        rate = check_track(file.samplerate, file.channels)
        wanted = min(file.frames, math.ceil(seconds * rate))
        missing = wanted
        while missing > 0:
            block = file.read(min(BLOCK, missing), dtype="float32", always_2d=True)
            if not len(block):
                is_mp3 = kind == "WAV" and file.subtype.startswith("MPEG")
                inner = "; the WAV file holds MP3" if is_mp3 else ""
                raise DecodeError(
                    f"is truncated: {wanted - missing} of {file.frames} samples{inner}"
                )
            blocks.append(block.mean(axis=1))
            missing -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32), rate


def _check_whole(path: Path, kind: str) -> None:
    """Raises an error for truncated files that libsndfile would read without one."""
    if kind == "WAV":
        _check_whole_wav(path)
    elif kind == "Ogg":
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - BLOCK))
            tail = stream.read()
        page = tail.rfind(b"OggS")
        # Bit 2 of the sixth byte marks the last page of a stream; its segments follow.
        if page < 0 or len(tail) < page + 27 or not tail[page + 5] & 4:
            raise DecodeError("is truncated: its last page is missing")
        segments = tail[page + 27 : page + 27 + tail[page + 26]]
        if len(tail) < page + 27 + tail[page + 26] + sum(segments):
            raise DecodeError("is truncated: its last page is not whole")


def _check_whole_wav(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as stream:
        if stream.read(4) != b"RIFF":
            return  # RF64 keeps its sizes elsewhere; libsndfile checks them.
        position = 12
        while position + 8 <= size:
            stream.seek(position)
            name, length = stream.read(4), int.from_bytes(stream.read(4), "little")
            if name == b"data":
                # Streaming recorders leave the length open.
                if length not in (0, 0xFFFFFFFF) and position + 8 + length > size:
                    found = size - position - 8
                    raise DecodeError(f"is truncated: {found} of {length} bytes of samples")
                return
            position += 8 + length + length % 2
    raise DecodeError("is truncated: it has no samples")
