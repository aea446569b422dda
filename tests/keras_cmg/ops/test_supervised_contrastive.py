"""Contrast between groups against loops, and distances by hand."""

import math

import numpy as np
import pytest

from keras_cmg.ops import distance_loss, same_event, supervised_contrastive_loss

RANDOM = np.random.default_rng(0)


def slow_loss(x, positives, temperature, present):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    anchors = []
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i and present[j]]
        mates = [j for j in others if positives[i][j]]
        if not present[i] or not mates:
            continue
        total = sum(math.exp(unit[i] @ unit[j] / temperature) for j in others)
        terms = [unit[i] @ unit[j] / temperature - math.log(total) for j in mates]
        anchors.append(-sum(terms) / len(mates))
    return sum(anchors) / len(anchors) if anchors else 0.0


@pytest.mark.parametrize("masked", [False, True])
def test_loss_equals_the_loop(masked):
    x = RANDOM.normal(size=(7, 3)).astype("float32")
    groups = np.array([0, 0, 1, 1, 1, 2, 0])
    positives = groups[:, None] == groups[None, :]
    present = np.array([1, 1, 1, 0, 1, 1, 0] if masked else [1] * 7, "float32")
    found = supervised_contrastive_loss(x, positives, 0.2, present if masked else None)
    assert float(found) == pytest.approx(slow_loss(x, positives, 0.2, present), rel=1e-5)


def test_nothing_to_find_costs_nothing():
    x = RANDOM.normal(size=(3, 2)).astype("float32")
    assert float(supervised_contrastive_loss(x, np.eye(3))) == 0.0
    assert float(supervised_contrastive_loss(x[:1], np.ones((1, 1)))) == 0.0
    assert float(supervised_contrastive_loss(x, np.ones((3, 3)), 0.1, np.zeros(3))) == 0.0
    # One present vector alone has no candidates.
    assert float(supervised_contrastive_loss(x, np.ones((3, 3)), 0.1, np.array([1, 0, 0]))) == 0.0


def test_equal_vectors_give_the_log_of_the_others():
    found = supervised_contrastive_loss(np.ones((5, 2), "float32"), np.ones((5, 5)), 0.01)
    assert float(found) == pytest.approx(math.log(4), rel=1e-5)


def test_clips_share_an_event_but_not_silence():
    labels = np.zeros((4, 3, 4))
    labels[0, 0, 0] = labels[1, 2, 0] = labels[1, 0, 1] = labels[3, 1, 1] = 1
    labels[:, :, 3] = 1
    expected = [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]]
    assert same_event(labels).tolist() == expected
    assert same_event(labels.max(axis=1)).tolist() == expected


def test_distances_by_hand():
    x = np.array([[1.0, 2.0], [0.0, 3.0]], "float32")
    y = np.array([[2.0, 2.0], [0.0, 5.0]], "float32")
    assert float(distance_loss(x, y)) == pytest.approx(-(1 / 2 + 4 / 2) / 2)
    assert float(distance_loss(x, y, np.array([1.0, 0.0]))) == pytest.approx(-0.5)
    cosine = 6 / math.sqrt(5 * 8)
    expected = (2 * cosine - 2) / 2
    assert float(distance_loss(x, y, normalize=True)) == pytest.approx(expected, rel=1e-5)
    assert -4 <= float(distance_loss(x, -x, normalize=True)) == pytest.approx(-4, rel=1e-6)


def test_labels_must_be_multi_hot():
    with pytest.raises(ValueError, match=r"multi-hot, .*Received shape \(4,\)"):
        same_event(np.array([0, 1, 1, 2]))


def test_bad_temperature_is_named():
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        supervised_contrastive_loss(np.ones((2, 2)), np.eye(2), 0.0)
