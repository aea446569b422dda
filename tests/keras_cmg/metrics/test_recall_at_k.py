"""Recall at k, with ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from keras_cmg import metrics
from tests.helpers.metric_checks import draws, value


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("ties", ["expected", "optimistic", "pessimistic"])
def test_recall_without_ties_agrees_with_scikit_learn(k: int, ties: str) -> None:
    scores, right = draws(50, 12), np.random.default_rng(1).integers(0, 12, 50)
    metric = metrics.RecallAtK(k, ties=ties)
    metric.update_state(right, scores)
    expected = top_k_accuracy_score(right, scores, k=k, labels=np.arange(12))
    assert value(metric) == pytest.approx(expected)


def test_directions_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.3, 0.2], [0.1, 0.7, 0.6]])
    for direction, expected in (("forward", 1 / 3), ("backward", 2 / 3), ("both", 1 / 2)):
        metric = metrics.RecallAtK(1, direction=direction)
        metric.update_state(np.arange(3), scores)
        assert value(metric) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_ties_are_the_chance_over_all_orders(k: int) -> None:
    scores = np.array([1, 2, 2, 2, 2, 0, 3], "float32")
    right = np.array([1, 1, 1, 0, 0, 1, 0])
    hits = []
    for order in itertools.permutations(range(7)):
        ranked = sorted(order, key=lambda place: -scores[place])
        hits.append(right[ranked[:k]].any())
    found = {}
    for ties in ("expected", "optimistic", "pessimistic"):
        metric = metrics.RecallAtK(k, ties=ties)
        metric.update_state(right[None], scores[None])
        found[ties] = value(metric)
    assert found["expected"] == pytest.approx(np.mean(hits))
    assert found["optimistic"] == max(hits) and found["pessimistic"] == min(hits)


def test_a_constant_code_is_at_chance() -> None:
    metric = metrics.RecallAtK(5, direction="both")
    metric.update_state(np.arange(50), np.ones((50, 50)))
    assert value(metric) == pytest.approx(5 / 50)


def test_a_query_without_anything_right_never_hits() -> None:
    metric = metrics.RecallAtK(3, ties="optimistic")
    metric.update_state(np.zeros((1, 3)), np.ones((1, 3)))
    assert value(metric) == 0
