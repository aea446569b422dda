"""Raw clips with planted faults: what is wrong with each, and what must be said of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.helpers import media


def _sound(samples: np.ndarray, suffix: str = ".wav", **options: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import soundfile

        soundfile.write(path.with_suffix(suffix), samples, 16_000, **options)

    return write


def _cut(suffix: str, share: float, **options: dict[str, str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path = path.with_suffix(suffix)
        if suffix in (".mp4", ".avi"):
            media.write_video(path, media.pictures(40), rate=8, **options)
        else:
            media.write_sound(path, 2.0)
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return write


def _bytes(suffix: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: _put(path.with_suffix(suffix), content)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _one_frame_video(path: Path) -> None:
    media.write_video(path.with_suffix(".mp4"), media.pictures(1))


def _one_frame_folder(path: Path) -> None:
    media.write_frames(path, 1)


def _broken_frame(path: Path) -> None:
    media.write_frames(path, 4)
    frame = path / "frame3.png"
    frame.write_bytes(frame.read_bytes()[:200])


def _renamed(source: str, target: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        if source in (".mp4", ".avi"):
            media.write_video(path.with_suffix(source), media.pictures(8))
        else:
            media.write_sound(path.with_suffix(source), 1.0)
        path.with_suffix(source).rename(path.with_suffix(target))

    return write


def _noise(seed: int, count: int = 4000) -> bytes:
    return np.random.default_rng(seed).bytes(count)


NAN = media.tone(1.0)
NAN[500] = np.nan
FASTSTART = {"options": {"movflags": "+faststart"}}

FAULTS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "silent": ("audio", _sound(np.zeros(16_000)), "is silent"),
    "nan": ("audio", _sound(NAN, subtype="FLOAT"), "not finite"),
    "no samples": ("audio", _sound(np.zeros(0)), "no samples"),
    "zero-byte wav": ("audio", _bytes(".wav", b""), "is empty"),
    "zero-byte mp3": ("audio", _bytes(".mp3", b""), "is empty"),
    "cut wav": ("audio", _cut(".wav", 0.6), "is truncated"),
    "cut wav header": ("audio", _bytes(".wav", b"RIFF\0\0\0\0WAVEfmt "), "is truncated"),
    "cut flac": ("audio", _cut(".flac", 0.5), "is truncated|cannot be decoded"),
    "cut ogg": ("audio", _cut(".ogg", 0.5), "is truncated"),
    "cut mp3": ("audio", _cut(".mp3", 0.5), "is truncated"),
    "noise wav": ("audio", _bytes(".wav", b"RIFF\0\0\0\0WAVE" + _noise(0)), "is truncated|decoded"),
    "noise flac": ("audio", _bytes(".flac", b"fLaC" + _noise(1)), "cannot be decoded"),
    "flac as wav": ("audio", _renamed(".flac", ".wav"), "is named .wav but holds FLAC"),
    "mp3 as ogg": ("audio", _renamed(".mp3", ".ogg"), "is named .ogg but holds MP3"),
    "text as mp3": ("audio", _bytes(".mp3", b"not a sound"), "is named .mp3 but holds something"),
    "one frame": ("video", _one_frame_video, "at least 2 frames; it has 1"),
    "one frame folder": ("video", _one_frame_folder, "at least 2 frames; it has 1"),
    "broken frame": ("video", _broken_frame, "frame3.png that cannot be decoded"),
    "zero-byte mp4": ("video", _bytes(".mp4", b""), "is empty"),
    "cut mp4": ("video", _cut(".mp4", 0.6), "cannot be decoded"),
    "cut fast mp4": ("video", _cut(".mp4", 0.25, **FASTSTART), "is truncated|cannot be decoded"),
    "cut avi": ("video", _cut(".avi", 0.25), "is truncated|cannot be decoded"),
    "noise mp4": ("video", _bytes(".mp4", b"\0\0\0\x18ftypmp42" + _noise(2)), "cannot be decoded"),
    "avi as mp4": ("video", _renamed(".avi", ".mp4"), "is named .mp4 but holds AVI"),
    "sound as video": ("video", _renamed(".flac", ".mp4"), "is named .mp4 but holds FLAC"),
    "broken jpeg": ("video", _bytes(".jpg", b"\xff\xd8\xff" + _noise(3)), "cannot be decoded"),
    "empty caption": ("text", _bytes(".txt", b""), "is empty"),
    "blank caption": ("text", _bytes(".txt", b" \n\n"), "is empty"),
    "marks for a caption": ("text", _bytes(".txt", b"?!..."), "has no words"),
    "latin caption": ("text", _bytes(".txt", "caf\xe9 noise".encode("latin-1")), "UTF-8"),
    "no caption": ("text", lambda path: None, "has no caption"),
    "no sound": ("audio", lambda path: None, "has no audio|holds no audio"),
    "no video": ("video", lambda path: None, "has no video"),
    "unknown kind": ("audio", _bytes(".xyz", b"data"), "has no audio|holds no audio"),
}
"""Name to the modality that is at fault, how it is made at a path without extension, the reason."""


def plant(root: Path, names: list[str]) -> dict[str, tuple[str, str]]:
    """Spoils good clips, one fault each.

    Args:
        root: folder made by `write_clips`.
        names: clips to spoil, at least as many as there are faults; faults repeat beyond that.

    Returns:
        Clip to modality and reason.
    """
    expected = {}
    for name, fault in zip(names, [*FAULTS] * (len(names) // len(FAULTS) + 1), strict=False):
        modality, write, reason = FAULTS[fault]
        folders = ("video", "frames") if modality == "video" else (modality,)
        for folder in folders:
            for path in (root / folder).glob(f"{name}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write(root / folders[-1 if fault.endswith(("folder", "broken frame")) else 0] / name)
        expected[name] = (modality, reason)
    return expected
