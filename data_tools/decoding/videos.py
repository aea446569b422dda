"""Decodes frames and audio of video files with PyAV (FFmpeg), one frame in memory at a time."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding.pictures import MAX_PIXELS, to_square
from data_tools.decoding.signatures import DecodeError, decoding, kind_of
from data_tools.decoding.tracks import MAX_RATE, check_track
from data_tools.io.files import missing

NO_SOUND = "holds no audio"
"""Reason of a video file without an audio track."""
WHOLE = 0.95
"""Share of the announced frames that a complete file has at least, less one frame."""


def decode_video(path: str | os.PathLike[str], side: int, times: Sequence[float]) -> np.ndarray:
    """Decodes the frames of a video file (MP4, MOV, AVI, Matroska) at given times.

    Args:
        path: the file.
        side: pixels of a side of the result.
        times: in seconds from the first frame, ascending.

    Returns:
        (times, side, side, 3) uint8; the last frame is repeated for later times.

    Raises:
        DecodeError: if the file is missing, empty, damaged, truncated, not what its name says, too
            large, or has fewer than two frames.
        ImportError: if PyAV is not installed.
    """
    path = Path(path)
    kind_of(path)
    frames: list[np.ndarray] = []
    shown: Any = None
    start, count = 0.0, 0
    with _opened(path, "video") as (container, stream):
        for frame in container.decode(stream):
            _check_size(frame.width, frame.height)
            time = frame.time if frame.time is not None else count / (stream.average_rate or 25)
            if count == 0:
                start = time
            count += 1
            while len(frames) < len(times) and time - start > times[len(frames)]:
                frames.append(_square(shown, side))
            if len(frames) == len(times):
                break
            shown = frame
        else:
            announced = stream.frames
            if count < 2:
                raise DecodeError(f"must have at least 2 frames; it has {count}")
            if announced and count < WHOLE * announced - 1:
                raise DecodeError(f"is truncated: {count} of {announced} frames")
            last = _square(shown, side)
            frames += [last] * (len(times) - len(frames))
    return np.stack(frames)


def read_track(path: Path, seconds: float) -> tuple[np.ndarray, int]:
    """Decodes the audio of a video file.

    Args:
        path: the file.
        seconds: how much is read at most.

    Returns:
        (samples,) float32, channels averaged, and their rate in hertz.

    Raises:
        DecodeError: if the file cannot be decoded or has no sound.
        ImportError: if PyAV is not installed.
    """
    import av

    blocks: list[np.ndarray] = []
    with _opened(path, "audio") as (container, stream):
        # A track whose rate is in its packets alone gets it with the first frame.
        rate = int(stream.rate or 0)
        if rate:
            check_track(rate, stream.codec_context.channels or 1)
        resampler: Any = None
        wanted, found = math.ceil(seconds * MAX_RATE), 0
        for frame in container.decode(stream):
            rate = check_track(rate or frame.sample_rate, frame.layout.nb_channels)
            wanted = math.ceil(seconds * rate)
            check_track(frame.sample_rate, frame.layout.nb_channels)
            resampler = resampler or av.AudioResampler(format="fltp", rate=rate)
            for part in resampler.resample(frame):
                block = part.to_ndarray().mean(axis=0, dtype=np.float32)
                blocks.append(block)
                found += len(block)
            if found >= wanted:
                break
    samples = np.concatenate(blocks)[:wanted] if blocks else np.zeros(0, np.float32)
    return samples, rate


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise DecodeError(f"has frames of {width} x {height} pixels")


@contextlib.contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    try:
        import av
    except ImportError as error:
        raise missing("av", "video files need", error) from error
    av.logging.set_level(None)
    with decoding(path), av.open(os.fspath(path), metadata_errors="replace") as container:
        streams = container.streams.video if kind == "video" else container.streams.audio
        if not streams:
            raise DecodeError(NO_SOUND if kind == "audio" else f"holds no {kind}")
        stream = streams[0]
        if stream.codec_context is None:
            raise DecodeError(f"holds {kind} of a kind that cannot be decoded")
        if kind == "video":
            _check_size(stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.thread_count = 1
        yield container, stream


def _square(frame: Any, side: int) -> np.ndarray:
    return to_square(frame.to_image(), side)
