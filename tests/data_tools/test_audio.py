"""The audio summary: parameters against the obvious formulas, and what it must not depend on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.features import AudioFeatures, audio
from data_tools.features.log_mel import definition as log_mel
from data_tools.io.engine_free import load_module
from data_tools.raw.synthetic_sounds import render_sound
from tests.conftest import REPOSITORY


def test_mel_spectrogram_is_the_transform_frame_by_frame() -> None:
    waveform = np.random.default_rng(0).normal(size=1000)
    mel = audio.mel_spectrogram(waveform, 8000)
    padded = np.concatenate([waveform, np.zeros(400)])
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    expected = [
        np.abs(np.fft.rfft(padded[80 * i : 80 * i + 256] * taper)) @ log_mel.mel_weights(129, 8000)
        for i in range(13)
    ]
    np.testing.assert_allclose(mel, expected, rtol=1e-3, atol=1e-3)


def test_every_band_peaks_where_its_triangle_does() -> None:
    weights = log_mel.mel_weights(1025, 8000)
    peaks = weights.argmax(0) * 4000 / 1024
    low, high = 1127 * np.log1p(np.array([60.0, 4000.0]) / 700)
    mel = np.linspace(low, high, 34)[1:-1]
    np.testing.assert_allclose(peaks, 700 * np.expm1(mel / 1127), atol=4)
    assert weights.max() <= 1
    assert weights.min() == 0


def test_decibels_have_a_floor() -> None:
    np.testing.assert_allclose(log_mel.decibels(np.array([0, 1e-9, 0.1, 1])), [-40, -40, -20, 0])


def test_stretches_are_quarters_of_the_energy() -> None:
    # Eight frames of sound among silence: each band alone for two of them.
    mel = np.zeros((100, 32), np.float32)
    for stretch in range(4):
        mel[40 + 2 * stretch : 42 + 2 * stretch, stretch] = 10.0
    summary = audio.summarize(mel).reshape(4, 32)
    np.testing.assert_allclose(summary[:, :4], np.where(np.eye(4), 20.0, -40.0), atol=1.0)


@pytest.mark.parametrize("kind", ["drum", "bird"])
def test_summary_does_not_depend_on_where_the_sound_is(kind: str) -> None:
    rng = np.random.default_rng(0)
    sound = render_sound(kind, rng)
    word = sound[np.flatnonzero(sound)[0] :][:3000]
    other = render_sound("organ", rng)[2000:5000]
    noise = 0.003 * rng.standard_normal((3, 8000))
    noise[0, 400:3400] += word
    noise[1, 4400:7400] += word
    noise[2, 4400:7400] += other
    early, late, foreign = audio.summarize(audio.mel_spectrogram(noise, 8000))
    moved = np.sqrt(np.mean((early - late) ** 2))
    assert moved < 2
    assert moved < 0.2 * np.sqrt(np.mean((late - foreign) ** 2))


def test_silence_is_finite() -> None:
    assert np.isfinite(AudioFeatures(8000)(np.zeros((1, 80000)))).all()


def test_training_clips_become_standard() -> None:
    clips = np.random.default_rng(0).normal(size=(5, 80000)) * np.linspace(0.01, 1, 80000)
    features = AudioFeatures(8000).fit(clips)
    values = features(clips)
    np.testing.assert_allclose(values.mean((0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(values.std((0, 1)), 1, atol=1e-3)
    again = AudioFeatures(8000)
    again.load_state(features.state())
    np.testing.assert_array_equal(again(clips), values)


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`audio_backend` must be one of \('numpy', 'tensorflow-io'\)"
    ):
        AudioFeatures(8000, audio_backend="x")


def test_the_definition_is_that_of_the_library_and_needs_no_keras() -> None:
    code = (
        "import sys, numpy as np\n"
        "from data_tools.features import AudioFeatures\n"
        "AudioFeatures(8000)(np.ones((1, 8000)))\n"
        "assert not {'keras', 'jax', 'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)
    from keras_cmg.ops import log_mel as ours

    assert load_module("keras_cmg.ops.log_mel") is ours
    constants = [name for name in vars(ours) if name.isupper() and name != "TYPE_CHECKING"]
    assert len(constants) > 9
    assert all(getattr(log_mel, name) == getattr(ours, name) for name in constants)
    assert Path(log_mel.__file__).samefile(ours.__file__)
