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
from data_tools.decoding.signatures import DecodeError, kind_of

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
        DecodeError: if the file is missing, empty, damaged, cut short, not what its name says, too
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
            time = frame.time if frame.time is not None else count / (stream.average_rate or 25)
            if count == 0:
                if frame.width * frame.height > MAX_PIXELS:
                    raise DecodeError(f"has frames of {frame.width} x {frame.height} pixels")
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
                raise DecodeError(f"is cut short: {count} of {announced} frames")
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
        rate = int(stream.rate)
        resampler = av.AudioResampler(format="fltp", rate=rate)
        wanted, found = math.ceil(seconds * rate), 0
        for frame in container.decode(stream):
            for part in resampler.resample(frame):
                block = part.to_ndarray().mean(axis=0, dtype=np.float32)
                blocks.append(block)
                found += len(block)
            if found >= wanted:
                break
    samples = np.concatenate(blocks)[:wanted] if blocks else np.zeros(0, np.float32)
    return samples, rate


@contextlib.contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    try:
        import av
    except ImportError as error:
        raise ImportError("video files need PyAV: pip install av") from error
    av.logging.set_level(None)
    try:
        with av.open(os.fspath(path), metadata_errors="replace") as container:
            streams = container.streams.video if kind == "video" else container.streams.audio
            if not streams:
                raise DecodeError(f"holds no {kind}")
            stream = streams[0]
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.FFmpegError as error:
        reason = (error.strerror or type(error).__name__).strip().rstrip(".")
        raise DecodeError(f"cannot be decoded: {reason}") from error


def _square(frame: Any, side: int) -> np.ndarray:
    return to_square(frame.to_image(), side)
