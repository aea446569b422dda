"""Waveforms: formats refused, levels and lengths reached."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.raw import waveforms
from tests.data_tools.conftest import wav_bytes

SAMPLES = np.arange(-50, 50) * 100


def test_read_wav_gives_the_samples_back() -> None:
    values = waveforms.read_wav(wav_bytes(SAMPLES), "a.wav", 8000)
    np.testing.assert_array_equal(values, (SAMPLES / 32768).astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav_bytes(SAMPLES)[:-10], "all that its header announces"),
        (wav_bytes(SAMPLES[:0]), "at least one sample"),
        (wav_bytes(SAMPLES)[:20], "must be a PCM WAV file"),
        (b"", "must be a PCM WAV file"),
        (b"RIFX" + wav_bytes(SAMPLES)[4:], "must be a PCM WAV file"),
        (wav_bytes(SAMPLES, rate=16000), "Received: 1 channel.* 16000 Hz"),
        (wav_bytes(SAMPLES, channels=2), r"Received: 2 channel\(s\)"),
        (wav_bytes(SAMPLES, width=4), "32 bits"),
    ],
    ids=["cut", "no sample", "cut header", "empty", "other header", "rate", "channels", "bits"],
)
def test_read_wav_names_the_file_and_the_fault(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.wav .*{message}"):
        waveforms.read_wav(content, "a.wav", 8000)


def test_loudness_is_the_level_whatever_it_was() -> None:
    noise = np.random.default_rng(0).normal(size=4000)
    for gain in (1e-3, 1.0):
        loud = waveforms.normalize_loudness(gain * noise, 0.1)
        assert np.sqrt(np.mean(loud**2)) == pytest.approx(0.1, rel=1e-4)
    assert not waveforms.normalize_loudness(np.zeros(10)).any()


def test_long_waveform_is_cropped_around_its_energy() -> None:
    waveform = np.zeros(1000)
    waveform[600:700] = 1
    crop = waveforms.fit_length(waveform, 200, np.random.default_rng(0))
    assert crop.shape == (200,)
    assert crop.sum() == 100


def test_short_waveform_is_placed_anywhere_unchanged() -> None:
    rng = np.random.default_rng(0)
    starts = set()
    for _ in range(50):
        placed = waveforms.fit_length(np.array([1.0, 2.0]), 5, rng)
        start = int(np.argmax(placed > 0))
        starts.add(start)
        np.testing.assert_array_equal(placed[start : start + 2], [1, 2])
        assert placed.sum() == 3
    assert starts == {0, 1, 2, 3}


def test_noise_has_its_level_for_every_tilt() -> None:
    for tilt in (0.0, 0.5, 0.9):
        noise = waveforms.coloured_noise(80000, 0.01, tilt, np.random.default_rng(0))
        assert noise.std() == pytest.approx(0.01, rel=0.05)
        correlation = np.mean(noise[1:] * noise[:-1]) / np.mean(noise**2)
        assert correlation == pytest.approx(tilt, abs=0.02)
