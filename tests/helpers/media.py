"""Small sound, picture and video files, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def tone(seconds: float = 2.0, rate: int = 16_000, hertz: float = 440.0) -> np.ndarray:
    """A tone that fades in, (samples,) float."""
    time = np.arange(int(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * hertz * time) * np.minimum(1, 4 * time)


def write_sound(path: Path, seconds: float = 2.0, rate: int = 16_000, hertz: float = 440.0) -> Path:
    """A tone in the format that the name says."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds, rate, hertz), rate)
    return path


def pictures(count: int, seed: int = 0, side: int = 64) -> np.ndarray:
    """A bright square that moves over a dark, noisy ground, (count, side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 60, (count, side, side, 3), np.uint8)
    for number, frame in enumerate(frames):
        left = (3 * number + 7 * seed) % (side - 16)
        frame[20:36, left : left + 16] = 230 - 10 * (seed % 5)
    return frames


def write_frames(folder: Path, count: int, seed: int = 0) -> Path:
    """Frames of a video as PNG files."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(pictures(count, seed)):
        Image.fromarray(frame).save(folder / f"frame{number}.png")
    return folder


def write_video(
    path: Path,
    frames: np.ndarray,
    rate: int = 8,
    sound: np.ndarray | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A video in the container that the name says, with a mono track if there is sound."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.thread_count = 1
        track = None if sound is None else container.add_stream("aac", rate=16_000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None and sound is not None:
            values = np.ascontiguousarray(sound[None], np.float32)
            part = av.AudioFrame.from_ndarray(values, format="fltp", layout="mono")
            part.sample_rate = 16_000
            container.mux(track.encode(part))
            container.mux(track.encode(None))
    return path


def write_clips(root: Path, count: int) -> list[str]:
    """A set of good clips, each with sound, video and a caption; the formats take turns."""
    names = []
    for number in range(count):
        name = f"clip{number:04d}"
        suffix = (".wav", ".flac", ".ogg", ".mp3")[number % 4]
        write_sound(root / f"audio/{name}{suffix}", 1.5, 16_000, 200 + 40 * (number % 150))
        if number % 3 == 0:
            write_frames(root / f"frames/{name}", 4, number)
        else:
            video = root / f"video/{name}{('.mp4', '.avi')[number % 2]}"
            write_video(video, pictures(8, number), rate=4)
        text = root / f"text/{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"a square number {number} moves to the right\n")
        names.append(name)
    return names
