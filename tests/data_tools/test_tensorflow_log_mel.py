"""Both backends of the audio summary give the same numbers; runs where TensorFlow is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from data_tools.features import AudioFeatures, audio, tensorflow_log_mel
from data_tools.raw.synthetic import Synthetic


def test_missing_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    tensorflow_log_mel.library.cache_clear()
    with pytest.raises(ImportError, match=r"backend 'numpy' gives the same"):
        AudioFeatures(8000, audio_backend="tensorflow-io")(np.zeros((1, 8000)))


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    pytest.importorskip("tensorflow_io", reason="tensorflow-io is not installed")
    dataset = Synthetic()
    return np.stack([dataset.waveform(clip) for clip in dataset.plan({"train": 4}, 0)])


def test_spectrograms_agree(clips: np.ndarray) -> None:
    ours = audio.mel_spectrogram(clips, 8000)
    theirs = np.asarray(tensorflow_log_mel.mel_spectrogram(clips, 8000))
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-3)


def test_summaries_agree(clips: np.ndarray) -> None:
    ours, theirs = (
        AudioFeatures(8000, backend).summaries(clips) for backend in ("numpy", "tensorflow-io")
    )
    # Decibels: a hundredth is far below what a listener or a probe could tell.
    np.testing.assert_allclose(theirs, ours, atol=0.01)


def test_summary_runs_inside_a_pipeline(clips: np.ndarray) -> None:
    import tensorflow as tf

    segments = clips.reshape(4, 10, 8000)
    dataset = tf.data.Dataset.from_tensor_slices(segments).map(
        lambda clip: tensorflow_log_mel.summarize(tensorflow_log_mel.mel_spectrogram(clip, 8000))
    )
    values = np.stack(list(dataset.as_numpy_iterator()))
    np.testing.assert_allclose(values, AudioFeatures(8000).summaries(clips), atol=0.01)


def test_masks_silence_stretches_of_bands_and_frames(clips: np.ndarray) -> None:
    import tensorflow as tf

    tf.random.set_seed(0)
    ones = np.ones((200, 100, 32), np.float32)
    masked = np.asarray(tensorflow_log_mel.mask(ones, max_bands=8, max_frames=20))
    assert set(np.unique(masked)) == {0.0, 1.0}
    # A band or a frame is masked as a whole, and the masked ones stand side by side.
    for axis, limit in ((1, 8), (2, 20)):
        silent = masked.max(axis=axis) == 0
        counts = silent.sum(1)
        assert counts.max() == limit - 1
        assert counts.min() == 0
        edges = np.abs(np.diff(np.pad(silent, ((0, 0), (1, 1))).astype(int), axis=1)).sum(1)
        assert edges.max() <= 2
    assert len(np.unique(masked.reshape(200, -1), axis=0)) > 150


def test_masks_follow_the_seed_inside_a_pipeline(clips: np.ndarray) -> None:
    import tensorflow as tf

    def run() -> np.ndarray:
        tf.random.set_seed(3)
        segments = tf.data.Dataset.from_tensor_slices(clips.reshape(4, 10, 8000))
        masked = segments.map(
            lambda clip: tensorflow_log_mel.summarize(
                tensorflow_log_mel.mask(tensorflow_log_mel.mel_spectrogram(clip, 8000), 8, 20)
            )
        )
        return np.stack(list(masked.as_numpy_iterator()))

    first = run()
    np.testing.assert_array_equal(run(), first)
    assert np.abs(first - AudioFeatures(8000).summaries(clips)).max() > 1


def test_masks_without_a_limit_change_nothing(clips: np.ndarray) -> None:
    mel = np.random.default_rng(0).random((2, 3, 10, 8)).astype("float32")
    np.testing.assert_array_equal(np.asarray(tensorflow_log_mel.mask(mel, 0, 0)), mel)
    with pytest.raises(ValueError, match=r"`max_frames` must be from 0 to 10\. Received: 11"):
        tensorflow_log_mel.mask(mel, 0, 11)
