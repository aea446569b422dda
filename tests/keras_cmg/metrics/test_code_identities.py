"""Metrics of code identities, by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_cmg import metrics

AUDIO, VIDEO = np.array([[0, 0], [1, 2]]), np.array([[1, 1, 2, 3]])


def values(metric: keras.metrics.Metric) -> dict[str, float]:
    """The result as plain numbers."""
    return {name: float(value) for name, value in metric.result().items()}


@pytest.mark.every_engine
def test_segment_shares_over_batches() -> None:
    metric = metrics.CodeSegmentShares(5, ("audio", "video"))
    for codes in AUDIO:
        metric.update_state({"audio": codes})
    metric.update_state({"video": VIDEO})
    # Of eight segments two are on code 0 and one on code 3, each of one modality alone.
    assert values(metric) == {"specific": 3 / 8, "partial": 0.0, "shared": 5 / 8}
    metric.reset_state()
    mask = {"audio": np.array([[1, 0], [1, 1]]), "video": np.array([[1, 0, 0, 0]])}
    metric.update_state({"audio": AUDIO, "video": VIDEO}, mask)
    # Left are 0, 1, 2 of sound and 1 of pictures.
    assert values(metric) == {"specific": 0.5, "partial": 0.0, "shared": 0.5}


@pytest.mark.every_engine
def test_overlap_of_each_two_modalities() -> None:
    metric = metrics.CodeOverlap(5, ("audio", "video", "text"))
    metric.update_state({"audio": AUDIO, "video": VIDEO, "text": np.array([4, 4])})
    # Of sound: 1/2, 1/4, 1/4, 0, 0; of pictures: 0, 1/2, 1/4, 1/4, 0; of text: 0, 0, 0, 0, 1.
    expected = {"audio_video": 0.5, "audio_text": 0.0, "video_text": 0.0, "mean": 0.5 / 3}
    assert values(metric) == pytest.approx(expected)


def test_configs_and_mistakes() -> None:
    for cls in (metrics.CodeSegmentShares, metrics.CodeOverlap):
        metric = cls(5, ("audio", "video"), name="codes")
        again = cls.from_config(metric.get_config())
        assert again.get_config() == metric.get_config()
        with pytest.raises(ValueError, match=r"must be of modalities .* Received: \['smell'\]"):
            metric.update_state({"smell": AUDIO})
    with pytest.raises(ValueError, match="`modalities` must hold at least two names"):
        metrics.CodeOverlap(5, ("audio",))
