"""The checks of every metric: streaming, saving, compiled evaluation, and what is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg import metrics
from tests.helpers.metric_checks import LABELS, SCORES, value

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
        (lambda: metrics.SegmentF1(), (LABELS[:1], SCORES), "must have the same shape"),
        (lambda: metrics.MicroF1(), (LABELS[:1], SCORES), "must have the same shape"),
        (lambda: metrics.CodeAgreement(), (LABELS[:1], LABELS), "must have the same shape"),
        (lambda: metrics.ClipAccuracy(), (np.eye(4), np.eye(4)), r"`y_true` must have shape \(b"),
        (lambda: metrics.ClipAccuracy(), (np.arange(1), np.eye(4)), "for \\(4,\\) clips"),
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
