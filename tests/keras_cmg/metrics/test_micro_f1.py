"""Micro-averaged F1."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from keras_cmg import metrics
from tests.helpers.metric_checks import LABELS, SCORES, value


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_micro_f1_agrees_with_scikit_learn(threshold: float) -> None:
    metric = metrics.MicroF1(threshold=threshold)
    metric.update_state(LABELS[:4], SCORES[:4])
    metric.update_state(LABELS[4:], SCORES[4:])
    expected = precision_recall_fscore_support(
        LABELS.reshape(-1, 4), SCORES.reshape(-1, 4) > threshold, average="micro"
    )
    found = (metric.precision(), metric.recall(), metric.result())
    np.testing.assert_allclose([float(part) for part in found], expected[:3], rtol=1e-5)


def test_the_published_f1_is_that_of_the_means_over_batches() -> None:
    metric = metrics.MicroF1(reduction="batches")
    # Three clips with precision 1 and recall 1/2, one with precision 1/2 and recall 1.
    metric.update_state(np.ones((3, 1, 2)), np.array([[[1.0, 0.0]]] * 3))
    metric.update_state(np.array([[[1, 0]]]), np.ones((1, 1, 2)))
    precision, recall = (3 * 1 + 0.5) / 4, (3 * 0.5 + 1) / 4
    assert float(metric.precision()) == pytest.approx(precision)
    assert float(metric.recall()) == pytest.approx(recall)
    assert value(metric) == pytest.approx(2 * precision * recall / (precision + recall))


def test_nothing_found_has_no_precision() -> None:
    metric = metrics.MicroF1()
    metric.update_state(np.ones((1, 2)), np.zeros((1, 2)))
    assert (float(metric.precision()), float(metric.recall()), value(metric)) == (0, 0, 0)
