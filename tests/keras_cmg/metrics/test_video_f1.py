"""F1 of segments and events of videos."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from keras_cmg import metrics
from tests.helpers.metric_checks import draws, value


def video(*rows: str) -> np.ndarray:
    """A video of one class per row, (1, frames, classes): `"1100"` is an event of two segments."""
    return np.array([[int(mark) for mark in row] for row in rows], "float32").T[None]


@pytest.mark.parametrize(
    ("truth", "found", "segment", "event"),
    [
        (("1110000000",), ("1110000000",), 1, 1),
        # Three of four: IoU 3/4.
        (("1111000000",), ("1110000000",), 6 / 7, 1),
        # Exactly one half is enough.
        (("1111000000",), ("0011000000",), 2 / 3, 1),
        # One third is not: a wrong event and a missed one.
        (("1110000000",), ("0010000000",), 0.5, 0),
        # One long prediction over two events fits neither.
        (("1100110000",), ("1111110000",), 0.8, 0),
        # One of two events found.
        (("1100000011",), ("1100000000",), 2 / 3, 2 / 3),
        # A class that is nowhere counts in no mean; one that is only predicted counts as 0.
        (("1110000000", "0000000000"), ("1110000000", "0000000000"), 1, 1),
        (("1110000000", "0000000000"), ("1110000000", "0000000001"), 0.5, 0.5),
        # Nothing to find and nothing found is right.
        (("0000000000",), ("0000000000",), 1, 1),
        (("0000000000",), ("0000100000",), 0, 0),
        # An event up to the last segment.
        (("0000000001",), ("0000000001",), 1, 1),
    ],
)
def test_videos_by_hand(truth, found, segment: float, event: float) -> None:
    for metric, expected in ((metrics.SegmentF1(), segment), (metrics.EventF1(), event)):
        metric.update_state(video(*truth), video(*found))
        assert value(metric) == pytest.approx(expected)


def slow_events(column: np.ndarray) -> list[set[int]]:
    return [
        {frame for frame, _ in run}
        for mark, run in itertools.groupby(enumerate(column), key=lambda pair: pair[1])
        if mark
    ]


def slow_event_f1(truth: np.ndarray, found: np.ndarray, iou: float) -> float:
    scores = []
    for column in range(truth.shape[1]):
        there, said = slow_events(truth[:, column]), slow_events(found[:, column])
        if not there and not said:
            continue
        hits = sum(any(len(a & b) >= iou * len(a | b) for b in there) for a in said)
        scores.append(2 * hits / (len(there) + len(said)))
    return float(np.mean(scores)) if scores else 1.0


@pytest.mark.parametrize("iou", [0.5, 0.7, 1.0])
def test_events_agree_with_runs_of_sets(iou: float) -> None:
    truth, found = draws(40, 10, 5) > 0.5, draws(40, 10, 5, seed=1) > 0.4
    metric = metrics.EventF1(iou=iou)
    metric.update_state(truth, found)
    slow = np.mean([slow_event_f1(a, b, iou) for a, b in zip(truth, found, strict=True)])
    assert value(metric) == pytest.approx(slow, abs=1e-6)


def test_segments_agree_with_scikit_learn() -> None:
    truth, found = draws(30, 10, 5) > 0.7, draws(30, 10, 5, seed=1) > 0.7
    metric = metrics.SegmentF1()
    metric.update_state(truth, found)
    expected = []
    for a, b in zip(truth, found, strict=True):
        there = (a.any(axis=0)) | (b.any(axis=0))
        *_, f1, _ = precision_recall_fscore_support(a[:, there], b[:, there], zero_division=0)
        expected.append(f1.mean() if there.any() else 1.0)
    assert value(metric) == pytest.approx(np.mean(expected), abs=1e-6)


def test_modalities_are_counted_together() -> None:
    audio, visual = video("1111000000"), video("0000000011")
    nothing = video("0000000000")
    metric = metrics.SegmentF1()
    truth, found = np.stack([audio, visual], axis=1), np.stack([audio, nothing], axis=1)
    metric.update_state(truth, found)
    assert value(metric) == pytest.approx(2 * 4 / (2 * 4 + 2))
