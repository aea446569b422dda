"""Both roads to the audio summary give the same numbers; runs where TensorFlow is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from data_tools import tfio
from data_tools.datasets.synthetic import Synthetic
from data_tools.features import AudioFeatures, audio


def test_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    tfio.library.cache_clear()
    with pytest.raises(ImportError, match="The road 'numpy' gives the same numbers"):
        AudioFeatures(8000, road="tensorflow-io")(np.zeros((1, 8000)))


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    pytest.importorskip("tensorflow_io", reason="tensorflow-io is not installed")
    dataset = Synthetic()
    return np.stack([dataset.waveform(clip) for clip in dataset.plan({"train": 4}, 0)])


def test_spectrograms_agree(clips: np.ndarray) -> None:
    ours = audio.mel_spectrogram(clips, 8000)
    theirs = np.asarray(tfio.mel_spectrogram(clips, 8000))
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-3)


def test_summaries_agree(clips: np.ndarray) -> None:
    ours, theirs = (
        AudioFeatures(8000, road).summaries(clips) for road in ("numpy", "tensorflow-io")
    )
    # Decibels: a hundredth is far below what a listener or a probe could tell.
    np.testing.assert_allclose(theirs, ours, atol=0.01)


def test_summary_runs_inside_a_pipeline(clips: np.ndarray) -> None:
    import tensorflow as tf

    segments = clips.reshape(4, 10, 8000)
    dataset = tf.data.Dataset.from_tensor_slices(segments).map(
        lambda clip: tfio.summarise(tfio.mel_spectrogram(clip, 8000))
    )
    values = np.stack(list(dataset.as_numpy_iterator()))
    np.testing.assert_allclose(values, AudioFeatures(8000).summaries(clips), atol=0.01)
