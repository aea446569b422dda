"""Probes: what they learn, what chooses the epoch, and the losses of both protocols."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from recipes.protocol import linear_probes, probe_metrics
from recipes.protocol.linear_probes import Labelled


def clips_of(classes: list[int], num_classes: int, codes: np.ndarray, frames: int = 4) -> Labelled:
    """Clips whose event shows in all seconds but the last, with the code of their class."""
    labels = np.zeros((len(classes), frames, num_classes + 1), "float32")
    x = np.zeros((len(classes), frames, codes.shape[1]), "float32")
    labels[:, -1, -1] = 1
    for row, category in enumerate(classes):
        labels[row, :-1, category] = 1
        x[row, :-1] = codes[category]
    return Labelled({"codes": x}, labels)


@pytest.mark.parametrize("protocol", ["heldout", "reference"])
@pytest.mark.parametrize("localises", [False, True])
def test_probes_learn_what_is_there(protocol: str, localises: bool) -> None:
    codes = 5 * np.eye(5, dtype="float32")
    clips = clips_of([0, 1, 2] * 80, 3, codes)
    main = "micro F1" if localises else "accuracy"
    found = linear_probes.train_probes(
        clips, clips, {"audio": clips}, localises, main, protocol, 12, 4, learning_rate=0.01
    )
    choice = found["audio"]["codes"]
    assert choice.scores[main] > 0.9
    assert choice.chosen_on == pytest.approx(choice.scores[main]) and choice.epoch >= 1


@pytest.mark.every_engine
def test_heldout_chooses_on_validation_and_reference_on_what_it_reports() -> None:
    codes = np.eye(2, dtype="float32")
    train, turned = clips_of([0, 1] * 8, 2, codes), clips_of([0, 1] * 8, 2, codes[::-1])
    found = {
        protocol: linear_probes.train_probes(
            train, train, {"audio": turned}, False, "accuracy", protocol, 6, 8, 0.05
        )["audio"]["codes"]
        for protocol in ("heldout", "reference")
    }
    # Validation clips are told right, the turned ones wrong, and that is what is reported.
    assert found["heldout"].chosen_on == 1 and found["heldout"].scores == {"accuracy": 0}
    assert found["reference"].chosen_on == found["reference"].scores["accuracy"]


def test_epoch_of_equals_is_the_first() -> None:
    clips = clips_of([0] * 8, 2, np.eye(2, dtype="float32"))
    found = linear_probes.train_probes(clips, clips, {"a": clips}, False, "accuracy", epochs=4)
    assert found["a"]["codes"].epoch == 1


def test_views_train_as_if_alone() -> None:
    one = clips_of([0, 1] * 8, 2, np.eye(2, dtype="float32"))
    noise = np.random.default_rng(0).normal(size=one.views["codes"].shape).astype("float32")
    both = Labelled({"noise": noise, "codes": one.views["codes"]}, one.labels)
    arguments = (True, "micro F1", "heldout", 3, 8)
    alone = linear_probes.train_probes(one, one, {"a": one}, *arguments)["a"]["codes"]
    beside = linear_probes.train_probes(both, both, {"a": both}, *arguments)["a"]["codes"]
    assert alone.scores == pytest.approx(beside.scores) and alone.epoch == beside.epoch


@pytest.mark.every_engine
def test_reference_loss_is_binary_cross_entropy_and_weighted_log_softmax() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 1, 4, 3)).astype("float32")
    labels = random.integers(0, 2, (2, 4, 3)).astype("float32")
    model = linear_probes.ProbesOfViews(
        {"codes": keras.layers.Identity()}, 3, localises=True, log_loss=True
    )
    loss = model.compute_loss(y=ops.convert_to_tensor(labels), y_pred=ops.convert_to_tensor(logits))
    loss = ops.convert_to_numpy(loss)
    z = logits[:, 0].astype("float64")
    binary = np.mean(np.log1p(np.exp(z)) - labels * z)
    soft = z - np.log(np.exp(z).sum(-1, keepdims=True))
    expected = binary - np.exp(-linear_probes.LOG_LOSS_START) * np.mean((labels * soft).sum(-1))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_reference_rates_halve_and_clip_probe_by_probe() -> None:
    optimiser = linear_probes.probe_optimizer("reference", 2, 1.0, steps=5)
    rates = [float(optimiser._learning_rate(step)) for step in (0, 49, 50, 100, 150)]
    assert rates == pytest.approx([4e-4, 4e-4, 2e-4, 1e-4, 5e-5])
    model = linear_probes.ProbesOfViews(
        {
            f"v{i}": linear_probes.make_probe("reference", False, 2, 2, 0, f"probe_{i}")
            for i in (0, 1)
        },
        2,
    )
    model.build({"v0": (None, 4, 2), "v1": (None, 4, 2)})
    gradients = [ops.ones(v.shape) * 9 for v in model.trainable_variables]
    clipped = optimiser.clipped(gradients, model.trainable_variables)
    for i in (0, 1):
        mine = [
            g
            for g, v in zip(clipped, model.trainable_variables, strict=True)
            if f"probe_{i}/" in v.path
        ]
        norm = np.sqrt(sum(float(ops.sum(g * g)) for g in mine))
        assert len(mine) == 4 and norm == pytest.approx(0.5, rel=1e-4)


def test_published_f1_depends_on_the_batches_and_ours_does_not() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (10, 4, 3)).astype("float32")
    logits = random.normal(size=(10, 4, 3)).astype("float32")
    whole = probe_metrics.measure(True, labels, logits, only="micro F1")["micro F1"]
    found, there = logits > 0, labels > 0
    expected = 2 * (found & there).sum() / (found.sum() + there.sum())
    assert whole == pytest.approx(expected, rel=1e-6)
    parts = probe_metrics.measure(True, labels, logits, batch_size=3, only="micro F1")["micro F1"]
    assert parts != whole


def test_constant_answers() -> None:
    clips = clips_of([0, 0, 1], 2, np.eye(2, dtype="float32"))
    answer = probe_metrics.constant_logits(False, clips.labels, 3)
    assert probe_metrics.measure(False, clips.labels, answer)["accuracy"] == pytest.approx(2 / 3)
    answer = probe_metrics.constant_logits(True, clips.labels, 3)
    # Class 0 shows in half of all seconds: not more than half, so that nothing is said.
    assert probe_metrics.measure(True, clips.labels, answer)["micro F1"] == 0


def test_weights_are_those_of_the_chosen_epoch() -> None:
    clips = clips_of([0, 1] * 8, 2, np.eye(2, dtype="float32"))
    found = linear_probes.train_probes(clips, clips, {"a": clips}, epochs=5)["a"]["codes"]
    early = linear_probes.train_probes(clips, clips, {"a": clips}, epochs=found.epoch)
    for late, weight in zip(found.probe.weights, early["a"]["codes"].probe.weights, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(late), ops.convert_to_numpy(weight))


def test_every_epoch_has_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips beyond the last whole batch of one epoch are seen in another."""
    seen: list[set[float]] = []
    fit = linear_probes.ProbesOfViews.fit

    def recording(model, views, *arguments, **options):
        seen.append(set(views["codes"][:, 0, 0].tolist()))
        return fit(model, views, *arguments, **options)

    monkeypatch.setattr(linear_probes.ProbesOfViews, "fit", recording)
    clips = clips_of([0, 1] * 5, 2, np.eye(2, dtype="float32"))
    clips.views["codes"][:, 0, 0] = np.arange(10)
    linear_probes.train_probes(clips, clips, {"a": clips}, epochs=6, batch_size=4)
    assert all(len(epoch) == 8 for epoch in seen) and len(set(map(frozenset, seen))) > 1
    assert set.union(*seen) == set(range(10))


def test_bad_codes_are_refused() -> None:
    clips = clips_of([0, 1] * 4, 2, np.eye(2, dtype="float32"))
    bad = clips_of([0, 1] * 4, 2, np.eye(2, dtype="float32"))
    bad.views["codes"][3, 1] = np.nan
    with pytest.raises(ValueError, match="codes of 'text' must be finite"):
        linear_probes.train_probes(clips, clips, {"text": bad})
    short = Labelled({"codes": clips.views["codes"][:3]}, clips.labels)
    with pytest.raises(ValueError, match=r"one row per labelled clip.*3 rows \(codes\) for 8"):
        linear_probes.train_probes(clips, short, {})
