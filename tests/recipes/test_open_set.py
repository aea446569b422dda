"""Open-set cross-modal generalisation: metrics, scores, thresholds, tables, the recipe."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.experiments import open_set as recipe
from recipes.protocol import open_set, open_set_metrics, open_set_scores
from recipes.protocol.clip_probes import ClipVectors, Probe
from recipes.reporting import open_set_tables
from recipes.runner import command_line
from recipes.runner.settings import resolve
from recipes.training import model_measurement, open_set_measurement

KNOWN = np.array([0, 1])


def drawn(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, correctness and knownness of random clips."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=60)
    scores = np.round(scores) if ties else scores
    return scores, random.random(60) < 0.7, random.random(60) < 0.6


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_auroc_and_fpr_equal_loops_over_clips(seed: int, ties: bool) -> None:
    scores, _, is_known = drawn(seed, ties)
    wins = [
        1.0 if known > unknown else 0.5 if known == unknown else 0.0
        for known in scores[is_known]
        for unknown in scores[~is_known]
    ]
    assert open_set_metrics.auroc(scores, is_known) == pytest.approx(np.mean(wins), abs=1e-12)
    for threshold in sorted(scores[is_known], reverse=True):
        if sum(score >= threshold for score in scores[is_known]) >= 0.95 * is_known.sum():
            break
    rate = np.mean([score >= threshold for score in scores[~is_known]])
    assert open_set_metrics.fpr_at_95(scores, is_known) == rate


@pytest.mark.parametrize("ties", [False, True])
def test_thresholds_equal_loops_over_clips(ties: bool) -> None:
    scores, correct, is_known = drawn(2, ties)

    def hos(threshold: float) -> float:
        known = unknown = 0
        for score, right, inside in zip(scores, correct, is_known, strict=True):
            known += inside and right and score >= threshold
            unknown += not inside and score < threshold
        a, b = known / is_known.sum(), unknown / (~is_known).sum()
        return 2 / (1 / a + 1 / b) if a and b else 0.0

    found = open_set_metrics.open_set_scores(scores, correct, is_known, 0.0)
    assert found.hos == pytest.approx(hos(0.0), abs=1e-12)
    step = (scores.max() - scores.min()) / 9
    spaced = [hos(scores.min() + number * step) for number in range(9)] + [hos(scores.max())]
    _, chosen = open_set_metrics.best_of_spaced_thresholds(scores, correct, is_known)
    assert chosen.hos == pytest.approx(max(spaced), abs=1e-12)
    best = open_set_metrics.best_threshold(scores, correct, is_known)
    assert hos(best) == pytest.approx(max(hos(score) for score in scores), abs=1e-12)


def test_metrics_need_known_and_unknown_clips() -> None:
    with pytest.raises(ValueError, match=r"known and of unknown classes\. Received: 2 known of 2"):
        open_set_metrics.auroc(np.zeros(2), np.ones(2, bool))
    with pytest.raises(ValueError, match="`scores` must be finite"):
        open_set_metrics.fpr_at_95(np.array([np.nan, 0.0]), np.array([True, False]))


def test_scores_equal_loops_over_clips() -> None:
    random = np.random.default_rng(0)
    train, shares = random.normal(size=(6, 3)), random.dirichlet(np.ones(4), size=6)
    shares[:, 0] *= np.arange(6) % 2
    classes = np.array([0, 0, 1, 1, 1, 0])
    probe = Probe(random.normal(size=(3, 3)), np.array([0.1, -0.2, -np.inf]), 1.0, 1.0)
    means = open_set_scores.class_means(train, classes, 3)
    usage = open_set_scores.class_usage(shares, classes, 3)
    found = open_set_scores.knownness(probe, train, means, shares, usage)
    for row in range(6):
        exponentials = [np.exp(train[row] @ probe.kernel[:, k] + probe.bias[k]) for k in (0, 1)]
        answer = int(np.argmax(exponentials))
        members = [other for other in range(6) if classes[other] == answer]
        centre = sum(train[other] for other in members) / len(members)
        used = sum(
            shares[row, code] * np.mean([shares[other, code] > 0 for other in members])
            for code in range(4)
        )
        expected = {
            "softmax": max(exponentials) / sum(exponentials),
            "energy": np.log(sum(exponentials)),
            "distance": -np.sqrt(sum((train[row] - centre) ** 2)),
            "code usage": used / shares[row].sum(),
        }
        assert {name: scores[row] for name, scores in found.items()} == pytest.approx(expected)


def clips_at(places: dict[int, float], count: int = 8, shift: float = 0.0) -> open_set.OpenSetClips:
    """Clips of each class around a place on a circle, in degrees, with a code per class."""
    random = np.random.default_rng(len(places))
    classes = np.repeat(list(places), count)
    angles = np.radians([places[category] + shift for category in classes])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    vectors += random.normal(scale=0.02, size=(len(classes), 2))
    shares = np.eye(6)[classes]
    return open_set.OpenSetClips(ClipVectors(vectors, classes, np.ones(len(classes), bool)), shares)


@pytest.fixture(scope="module")
def splits() -> dict[str, dict[str, open_set.OpenSetClips]]:
    """Three known classes far apart, and two unknown ones, of which one is between known ones."""
    places = {0: 0.0, 1: 120.0, 2: 240.0, 3: 60.0, 4: 300.0}
    return {
        split: {"audio": clips_at(places), "video": clips_at(places, shift=3.0)}
        for split in ("train", "val", "test")
    }


def test_separated_classes_are_recognised_and_rejected(splits: Any) -> None:
    found = open_set.evaluate(splits, np.arange(3), 5)
    assert found["validation"] == {"audio": 1.0, "video": 1.0}
    pair = found["pairs"]["video->audio"]
    assert pair["closed"] == 1.0
    for name in ("softmax", "distance", "code usage"):
        scores = pair["scores"][name]
        assert (scores["auroc"], scores["fpr"]) == (1.0, 0.0)
        assert scores[open_set.REFERENCE]["hos"] == 1.0
    rule = pair["scores"]["code usage"][open_set.QUANTILE]
    assert (rule["known"], rule["unknown"], rule["hos"]) == (1.0, 1.0, 1.0)
    # The threshold is that of clips of video, of which it rejects one in twenty.
    assert pair["scores"]["softmax"][open_set.QUANTILE]["unknown"] == 1.0


def test_heldout_thresholds_do_not_see_other_modalities_or_unknown_classes(splits: Any) -> None:
    found = open_set.evaluate(splits, np.arange(3), 5)
    changed = {split: dict(by_name) for split, by_name in splits.items()}
    changed["test"] = {name: clips_at({0: 9.0, 1: 50.0, 3: 5.0}) for name in splits["test"]}
    for split in ("train", "val"):
        for name, clips in splits[split].items():
            unknown = clips.codes.classes > 2
            vectors = np.where(unknown[:, None], 7.0, clips.codes.vectors)
            changed[split][name] = clips._replace(codes=clips.codes._replace(vectors=vectors))
    other = open_set.evaluate(changed, np.arange(3), 5)
    differ = set()
    for pair, of_pair in found["pairs"].items():
        for score, rules in of_pair["scores"].items():
            for rule in open_set.RULES:
                theirs = other["pairs"][pair]["scores"][score][rule]["threshold"]
                if theirs != rules[rule]["threshold"]:
                    differ.add(rule)
    assert differ == {open_set.REFERENCE}
    assert other["validation"] == found["validation"]


def test_left_out_thresholds_equal_loops_over_classes(splits: Any) -> None:
    train, val = (splits[split]["audio"].of_classes(np.arange(3)) for split in ("train", "val"))
    thresholds = open_set.left_out_thresholds(train, val, 5)
    # Each left-out clip is given one of two other classes, whose codes it never uses.
    assert thresholds["code usage"] == 1.0
    assert 0.5 < thresholds["softmax"] < 1.0
    with pytest.raises(ValueError, match="at least 2 known classes"):
        open_set.left_out_thresholds(train, val.of_classes(np.array([1])), 5)


def test_clips_without_the_modality_are_not_counted(splits: Any) -> None:
    found = open_set.evaluate(splits, np.arange(3), 5)
    clips = splits["test"]["audio"]
    absent = ClipVectors(np.full((4, 2), 50.0), np.array([0, 1, 3, 4]), np.zeros(4, bool))
    joined = open_set.OpenSetClips(
        ClipVectors(*(np.concatenate(pair) for pair in zip(clips.codes, absent, strict=True))),
        np.concatenate([clips.shares, np.zeros((4, 6))]),
    )
    with_absent = {**splits, "test": {**splits["test"], "audio": joined}}
    assert open_set.evaluate(with_absent, np.arange(3), 5) == found


def test_known_classes_are_chosen_by_rule_or_seed() -> None:
    assert open_set.known_classes("natural", 7).tolist() == [0, 1, 2, 3]
    assert [len(open_set.known_classes(*each)) for each in (("ave", 28), ("ucf51", 51))] == [14, 17]
    draws = [open_set.known_classes("natural", 7, 4, "random", seed).tolist() for seed in range(5)]
    assert all(len(set(draw)) == 4 for draw in draws) and len({tuple(d) for d in draws}) > 1
    assert draws[3] == open_set.known_classes("natural", 7, 4, "random", 3).tolist()
    for count in (1, 7):
        with pytest.raises(ValueError, match=f"--known-classes must be from 2 to 6.*: {count}"):
            open_set.known_classes("natural", 7, count)


def epoch(validation: float, heldout: float, chosen: dict[str, float]) -> dict[str, Any]:
    """What an epoch might give: harmonic means by direction under "reference"."""
    rule = {"threshold": 0.5, "known": heldout, "unknown": heldout, "hos": heldout}

    def of(hos: float) -> dict[str, Any]:
        reference = {**rule, "hos": hos}
        return {
            "auroc": 0.5,
            "fpr": 0.5,
            "quantile": rule,
            "left-out classes": rule,
            "reference": reference,
        }

    return {
        "validation": {"audio": validation, "video": validation},
        "pairs": {
            pair: {"closed": 0.5, "scores": {"softmax": of(hos)}} for pair, hos in chosen.items()
        },
    }


def test_reference_takes_the_best_epoch_of_each_direction() -> None:
    epochs = [
        epoch(0.9, 0.3, {"video->audio": 0.5, "audio->video": 0.4}),
        epoch(0.8, 0.1, {"video->audio": 0.3, "audio->video": 0.8}),
    ]
    model = {"epochs": epochs}
    assert open_set_tables.heldout(model, "softmax", "quantile", "hos") == pytest.approx(0.3)
    assert open_set_tables.reference(model, "softmax", "hos", "threshold") == pytest.approx(0.45)
    assert open_set_tables.reference(model, "softmax", "hos") == pytest.approx(0.65)
    gain = open_set_tables.tables_of_flattery([{"models": {"fcid": model}}])[0]
    assert gain.cells() == [("fcid", ["15.0", "35.0"])]


def checked(*words: str) -> Any:
    given = command_line.recipe_parser("open_set", recipe).parse_args(list(words))
    return recipe.check(resolve(recipe.OPTIONS, given)[0])


def test_options_that_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--data ave needs --run"):
        checked("--data", "ave")
    (tmp_path / "model.keras").touch()
    (tmp_path / "result.json").write_text(json.dumps({"settings": {}}))
    with pytest.raises(ValueError, match="leave out --models"):
        checked("--run", str(tmp_path), "--models", "dcid")
    assert checked("--data", "natural", "--models", "fcid:plus").models == ("fcid",)


def test_measurements_run_in_a_process_of_their_own_and_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    class Clips(argparse.Namespace):
        def _asdict(self) -> dict[str, Any]:
            return {"data": "synthetic"}

        def identity(self) -> dict[str, Any]:
            return {"data": "synthetic"}

    def answer(request: dict[str, Any], workers: int, function: Any) -> dict[str, Any]:
        calls.append((request["known"], request["seed"], function))
        return {"epochs": []}

    monkeypatch.setattr(model_measurement, "isolated", answer)
    settings = argparse.Namespace(**dict.fromkeys(open_set_measurement.MEASURED))
    for known in ([0, 1], [0, 1], [0, 2]):
        open_set_measurement.cached_measurement(tmp_path, settings, Clips(root=tmp_path), 3, known)
    measure = open_set_measurement.measure
    assert calls == [([0, 1], 3, measure), ([0, 2], 3, measure)]
