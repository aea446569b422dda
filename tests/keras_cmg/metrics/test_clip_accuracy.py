"""Accuracy of the event class of a clip."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cmg import metrics
from tests.helpers.metric_checks import value


def test_the_class_of_a_clip_is_the_one_of_most_segments() -> None:
    labels = np.array([[[1, 0, 0], [0, 1, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0], [0, 0, 1]]])
    scores = np.array([[[0.0, 0.1], [0.0, 0.9], [0.8, 0.0]], [[0.1, 0.2], [0.1, 0.1], [0, 0]]])
    metric = metrics.ClipAccuracy()
    metric.update_state(labels, scores)
    assert value(metric) == 0.5
    metric.update_state(np.array([1, 1]), scores, sample_weight=np.array([0.0, 2.0]))
    assert value(metric) == pytest.approx((1 + 0 + 2) / (2 + 2))


def test_classes_may_be_a_column() -> None:
    metric = metrics.ClipAccuracy()
    metric.update_state(np.array([[0], [1], [1]]), np.eye(3)[:, :2])
    assert value(metric) == pytest.approx(2 / 3)
