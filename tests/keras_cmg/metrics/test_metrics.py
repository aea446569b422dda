"""Metrics against scikit-learn, SciPy, and what one works out by hand; on every engine."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy import linalg
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from keras_cmg import metrics
from keras_cmg.ops.frechet import frechet_distance


def value(metric: keras.metrics.Metric) -> float:
    return float(ops.convert_to_numpy(metric.result()))


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype("float32")


# Each with the arguments of an update, in two batches, for the checks that all must stand.
LABELS = (draws(6, 10, 4) > 0.6).astype("float32")
SCORES = draws(6, 10, 4, seed=1)
CASES = {
    "segment": (metrics.SegmentF1(threshold=0.3, drop_background=True), (LABELS, SCORES)),
    "event": (metrics.EventF1(iou=0.6), (LABELS, SCORES)),
    "micro": (metrics.MicroF1(reduction="batches"), (LABELS, SCORES)),
    "recall": (metrics.RecallAtK(2, ties="pessimistic"), (np.arange(6) % 5, SCORES[:, 0, :])),
    "precision": (metrics.ClipAccuracy(), (LABELS, SCORES[..., :3])),
    "agreement": (metrics.CodeAgreement(), (LABELS, np.flip(LABELS, 0))),
    "perplexity": (metrics.Perplexity(2), (LABELS.astype("int32"),)),
    "activation": (
        metrics.CodeActivation(3, ("audio", "text")),
        ({"audio": LABELS.astype("int32"), "text": 2 * LABELS.astype("int32")},),
    ),
    "frechet": (metrics.FrechetDistance(4), (LABELS[:, 0], SCORES[:, 1])),
}


@pytest.mark.every_engine
@pytest.mark.parametrize("name", CASES)
def test_every_metric_streams_restores_and_starts_anew(name: str) -> None:
    metric, arguments = CASES[name]
    metric.reset_state()
    metric.update_state(*arguments)
    whole = metric.result()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric) and again.get_config() == metric.get_config()
    for part in (slice(0, 2), slice(2, 6)):
        again.update_state(*keras.tree.map_structure(lambda x, part=part: x[part], arguments))
    if name != "micro":  # Its reduction hangs on the batches, which is its point.
        keras.tree.map_structure(
            lambda a, b: np.testing.assert_allclose(
                ops.convert_to_numpy(a), ops.convert_to_numpy(b), rtol=1e-4, atol=1e-5
            ),
            whole,
            again.result(),
        )
    empty = type(metric).from_config(metric.get_config()).result()
    metric.reset_state()
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_array_equal(
            ops.convert_to_numpy(a), ops.convert_to_numpy(b)
        ),
        metric.result(),
        empty,
    )


@pytest.mark.every_engine
def test_metrics_run_inside_a_compiled_evaluation() -> None:
    kinds = (metrics.SegmentF1, metrics.EventF1, metrics.MicroF1)
    model = keras.Sequential([keras.layers.Activation("linear")])
    model.compile(loss="mse", metrics=[kind(name=kind.__name__) for kind in kinds])
    logs = model.evaluate(SCORES, LABELS, batch_size=3, verbose=0, return_dict=True)
    for kind in kinds:
        metric = kind()
        metric.update_state(LABELS, SCORES)
        assert logs[kind.__name__] == pytest.approx(value(metric), rel=1e-5)


# Localisation.


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


# Retrieval.


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


# Clips and codes.


def test_the_class_of_a_clip_is_the_one_of_most_segments() -> None:
    labels = np.array([[[1, 0, 0], [0, 1, 0], [0, 1, 0]], [[0, 0, 1], [1, 0, 0], [0, 0, 1]]])
    scores = np.array([[[0.0, 0.1], [0.0, 0.9], [0.8, 0.0]], [[0.1, 0.2], [0.1, 0.1], [0, 0]]])
    metric = metrics.ClipAccuracy()
    metric.update_state(labels, scores)
    assert value(metric) == 0.5
    metric.update_state(np.array([1, 1]), scores, sample_weight=np.array([0.0, 2.0]))
    assert value(metric) == pytest.approx((1 + 0 + 2) / (2 + 2))


def test_perplexity_is_of_all_codes_seen() -> None:
    indices = np.random.default_rng(0).integers(0, 5, (40, 3))
    metric = metrics.Perplexity(8)
    for batch in np.split(indices, 4):
        metric.update_state(batch)
    share = np.bincount(indices.ravel(), minlength=8) / indices.size
    entropy = -sum(p * math.log(p) for p in share if p)
    assert value(metric) == pytest.approx(math.exp(entropy), rel=1e-5)


def test_activation_of_codes_by_hand() -> None:
    # Uses of six codes by audio, video and text.
    counts = {
        "audio": (96, 95, 5, 50, 0, 1),
        "video": (4, 5, 90, 46, 0, 1),
        "text": (0, 0, 5, 4, 0, 1),
    }
    indices = {name: np.repeat(np.arange(6), times) for name, times in counts.items()}
    metric = metrics.CodeActivation(6, ("audio", "video", "text"))
    metric.update_state(indices)
    found = {name: int(count) for name, count in metric.result().items()}
    # 96 % is specific, 95 % not; 5 % of each is shared; 4 % is not.
    assert found == {"specific": 1, "partial": 2, "shared": 2, "unused": 1}
    with pytest.raises(ValueError, match=r"modalities .* Received: \['depth'\]"):
        metric.update_state({"depth": np.zeros(1)})


# Fréchet distance.


def reference(real: np.ndarray, generated: np.ndarray) -> float:
    """With the matrix root of SciPy, in double precision."""
    means = [x.mean(axis=0) for x in (real, generated)]
    covariances = [np.cov(x, rowvar=False) for x in (real, generated)]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    traces = np.trace(covariances[0] + covariances[1] - 2 * root.real)
    return float(np.square(means[0] - means[1]).sum() + traces)


def test_frechet_of_a_covariance_that_an_eigensolver_gives_up_on() -> None:
    """Of rank one and in single precision, as images give that are all but alike."""
    features = [1, 8, 10, 13, 21, 25, 32, 34, 38, 44, 45, 48, 52, 53, 55, 56, 57]
    direction = np.zeros(64, "float32")
    direction[features] = [
        4.78, -1.19, -4.78, 0.45, -2.39, 2.39, 1.19, 0.15, -1.19, -4.78, -4.78, 0.45, -0.6, -0.6,
        -2.39, 2.39, -0.6,
    ]  # fmt: skip
    zeros, wide = np.zeros(64, "float32"), np.eye(64, dtype="float32")
    one = np.outer(direction, direction)
    expected = float(np.square(direction).sum()) + 64 - 2 * float(np.linalg.norm(direction))
    distance = frechet_distance(zeros, one, zeros, wide)
    assert float(distance) == pytest.approx(expected, rel=1e-4)
    assert float(frechet_distance(zeros, one, zeros, one)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("samples", [500, 20])
def test_frechet_agrees_with_the_matrix_root(samples: int) -> None:
    random = np.random.default_rng(0)
    mix = random.normal(size=(16, 16))
    real = random.normal(size=(samples, 16)) @ mix + 100
    generated = random.normal(size=(samples + 30, 16)) + 101
    metric = metrics.FrechetDistance(16, dtype="float64")
    for start in range(0, samples + 30, 64):
        batch = real[start : start + 64]
        metric.update_state(batch if len(batch) else None, generated[start : start + 64])
    assert value(metric) == pytest.approx(reference(real, generated), rel=1e-6)
    single = metrics.FrechetDistance(16)
    single.update_state(real, generated)
    assert value(single) == pytest.approx(reference(real, generated), rel=2e-3)


def test_same_samples_have_no_distance_in_any_order() -> None:
    x = draws(200, 8)
    metric = metrics.FrechetDistance(8)
    metric.update_state(x, x[::-1])
    assert value(metric) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("size", [0.0, 1e-6, 1e6])
def test_samples_that_hardly_differ_have_a_distance_too(size: float) -> None:
    draws_of_rank_one = np.outer(np.arange(40), np.arange(64)).astype("float32") * size / 2520
    metric = metrics.FrechetDistance(64)
    metric.update_state(draws_of_rank_one, draws_of_rank_one + size)
    assert value(metric) == pytest.approx(64 * size**2, rel=2e-2)


# What is refused.


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (
            lambda: metrics.SegmentF1(),
            (LABELS, SCORES[:, :9]),
            "must have the same shape",
        ),
        (lambda: metrics.EventF1(iou=0.4), (), r"`iou` must lie in \[0.5, 1\]"),
        (lambda: metrics.MicroF1(reduction="mean"), (), "`reduction` must be 'total' or 'batches'"),
        (
            lambda: metrics.MicroF1(),
            (LABELS, SCORES[..., :2]),
            "must have the same shape",
        ),
        (lambda: metrics.RecallAtK(0), (), "`k` must be at least 1"),
        (lambda: metrics.RecallAtK(direction="up"), (), "`direction` must be one of"),
        (lambda: metrics.RecallAtK(ties="none"), (), "`ties` must be one of"),
        (lambda: metrics.RecallAtK(), (LABELS[:, 0], SCORES[:, 0, :2]), "`y_pred` must have shape"),
        (
            lambda: metrics.RecallAtK(direction="both"),
            (np.arange(4), np.eye(4), np.ones(4)),
            "`sample_weight` must be None unless `direction` is 'forward'",
        ),
        (lambda: metrics.ClipAccuracy(), (LABELS, SCORES), "one class, the background, more"),
        (lambda: metrics.Perplexity(0), (), "`num_embeddings` must be at least 1"),
        (lambda: metrics.CodeAgreement(), (LABELS, LABELS[:, 0]), "must have the same shape"),
        (lambda: metrics.FrechetDistance(0), (), "`dim` must be at least 1"),
        (lambda: metrics.FrechetDistance(3), (LABELS[:, 0], None), r"\(batch, 3\)"),
    ],
)
def test_what_is_refused(make, arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().update_state(*arguments)
