"""Decoding: the same signal from every format, the right frames at the right times."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_tools.decoding import (
    DecodeError,
    decode_audio,
    decode_caption,
    decode_folder,
    decode_picture,
    decode_video,
)
from data_tools.decoding.pictures import MAX_PIXELS
from data_tools.decoding.sounds import resample
from tests.helpers import media


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Best correlation over shifts of a few hundred samples, which coders introduce."""
    length = min(len(one), len(other)) - 3000
    shifts = range(0, 3000, 1)
    return max(np.corrcoef(one[:length], other[s : s + length])[0, 1] for s in shifts[:1200])


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_every_format_gives_the_tone(tmp_path: Path, suffix: str, rate: int) -> None:
    path = media.write_sound(tmp_path / f"tone{suffix}", 1.0, rate)
    sound = decode_audio(path, 16_000, 10)
    assert sound.dtype == np.float32
    assert abs(len(sound) - 16_000) < 2500, "coders pad a frame or two"
    spectrum = np.abs(np.fft.rfft(sound[4000:12_000]))
    assert abs(np.argmax(spectrum) * 2 - 440) <= 2
    assert correlation(media.tone(1.0), np.pad(sound, (0, 3000))) > 0.99


def test_no_more_is_read_than_asked(tmp_path: Path) -> None:
    path = media.write_sound(tmp_path / "long.wav", 5.0)
    assert len(decode_audio(path, 16_000, 2)) == 32_000
    video = media.write_video(tmp_path / "a.mp4", media.pictures(40), 8, media.tone(5.0))
    assert len(decode_audio(video, 16_000, 2)) == 32_000


def test_channels_are_averaged(tmp_path: Path) -> None:
    import soundfile

    stereo = np.stack([media.tone(1.0), np.zeros(16_000)], 1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000, subtype="FLOAT")
    sound = decode_audio(tmp_path / "a.wav", 16_000, 10)
    np.testing.assert_allclose(sound, media.tone(1.0) / 2, atol=1e-6)


def test_sound_of_a_video(tmp_path: Path) -> None:
    path = media.write_video(tmp_path / "a.mp4", media.pictures(8), 8, media.tone(1.0))
    sound = decode_audio(path, 8_000, 10)
    spectrum = np.abs(np.fft.rfft(sound[2000:6000]))
    assert abs(np.argmax(spectrum) * 2 - 440) <= 2
    silent = media.write_video(tmp_path / "b.mp4", media.pictures(8))
    with pytest.raises(DecodeError, match="holds no audio"):
        decode_audio(silent, 8_000, 10)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_frames_are_those_on_screen(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(20, 220, 10, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (20, 64, 64, 3))
    path = media.write_video(tmp_path / f"a{suffix}", np.ascontiguousarray(frames), rate=4)
    times = [0.0, 0.3, 0.9, 1.1, 3.8, 4.9, 7.0]
    found = decode_video(path, 28, times)
    assert found.shape == (7, 28, 28, 3)
    shown = [levels[min(int(time * 4), 19)] for time in times]
    np.testing.assert_allclose(found.mean((1, 2, 3)), shown, atol=4)


def test_frames_of_a_folder(tmp_path: Path) -> None:
    folder = media.write_frames(tmp_path / "clip", 12)
    times = [0.5, 1.5, 2.5]
    expected = np.stack([decode_picture(folder / f"frame{n}.png", 28) for n in (2, 6, 10)])
    np.testing.assert_array_equal(decode_folder(folder, 28, times, seconds=3), expected)
    slow = decode_folder(folder, 28, times, seconds=3, frame_rate=2)
    np.testing.assert_array_equal(slow[0], decode_picture(folder / "frame1.png", 28))


def test_a_picture_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    side = int(MAX_PIXELS**0.5) + 8
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    with pytest.raises(DecodeError, match="pixels"):
        decode_picture(tmp_path / "bomb.png", 28)


@pytest.mark.parametrize("content", [b"a\0b", b"x" * (2**20 + 1)])
def test_captions_that_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DecodeError, match=r"zero bytes|more than a caption"):
        decode_caption(tmp_path / "a.txt")


def test_speech(digits_root: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(digits_root / "fsdd.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".wav")][::300]
        for name in names:
            path = tmp_path / "speech.wav"
            path.write_bytes(archive.read(name))
            sound = decode_audio(path, 16_000, 10)
            same = decode_audio(path, 8_000, 10)
            assert len(sound) == 2 * len(same)
            assert 0.01 < np.abs(same).max() <= 1
    assert names


def write_raw_track(path: Path, rate: int) -> Path:
    """A Matroska file with a second of uncompressed sound at any rate."""
    import av

    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        samples = np.zeros((1, 1000), np.int16)
        samples[0, ::2] = 9000
        part = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        part.sample_rate = rate
        container.mux(track.encode(part))
        container.mux(track.encode(None))
    return path


def test_a_track_is_bounded_as_a_sound_file_is(tmp_path: Path) -> None:
    pytest.importorskip("av")
    good = write_raw_track(tmp_path / "good.mkv", 48_000)
    assert len(decode_audio(good, 48_000, 1)) == 1000
    with pytest.raises(DecodeError, match="has a sample rate of 10000000 Hz"):
        decode_audio(write_raw_track(tmp_path / "fast.mkv", 10_000_000), 16_000, 1)


def test_a_stream_of_an_unknown_codec_is_named(tmp_path: Path) -> None:
    pytest.importorskip("av")
    path = write_raw_track(tmp_path / "a.mkv", 48_000)
    content = path.read_bytes()
    assert b"A_PCM/INT/LIT" in content
    path.write_bytes(content.replace(b"A_PCM/INT/LIT", b"A_XXM/INT/LIT"))
    with pytest.raises(DecodeError, match="cannot be decoded"):
        decode_audio(path, 16_000, 1)


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000])
def test_resampling_is_that_of_scipy(rate: int) -> None:
    from scipy import signal

    samples = np.random.default_rng(0).normal(size=rate // 2).astype(np.float32)
    common = math.gcd(rate, 16_000)
    expected = signal.resample_poly(samples, 16_000 // common, rate // common)
    for _ in range(2):
        np.testing.assert_array_equal(resample(samples, rate, 16_000), expected)
