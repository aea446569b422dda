"""The comparison of systems: what is compared, what is tuned, what is kept, what is measured."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_tools
import keras_cmg
from recipes.experiments import compare
from recipes.protocol import comparison
from recipes.reporting import compare_tables
from recipes.runner import command_line as runner
from recipes.training import entries, search_spaces
from recipes.training import tuned_settings as tuning

FEW = ["--num-clips", "10", "5", "10", "--epochs", "1", "--batch-size", "5", "--probe-epochs", "1"]
PAIRS = [f"{a}->{b}" for a in comparison.MODALITIES for b in comparison.MODALITIES]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {"train": 10, "val": 5, "test": 10}
    return data_tools.prepare("synthetic", tmp_path_factory.mktemp("data") / "f", num_clips=clips)


def measured(spec: dict[str, Any]) -> dict[str, Any]:
    """What a system might measure: better the higher its learning rate, and by its seed."""
    score = 0.2 + 100 * spec["learning_rate"] + 0.01 * (spec["seed"] % tuning.SEED)
    result = {
        "train_seconds": 1.0,
        "memory_gigabytes": 0.001,
        "parameters": {"model": 2, "kept": 1},
        "validation": score,
    }
    if spec["test"]:
        recall = {f"{a}<->{b}": [score] * 3 for a, b in comparison.PAIRS}
        views = ["codes", "continuous"] + ["toc"] * (spec["system"] != "simmmdg")
        result["scores"] = {view: dict.fromkeys(PAIRS, score) for view in views}
        result["retrieval"] = {view: {"class": recall, "instance": recall} for view in views}
    return result


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The specs of all runs, which are quick here: nothing is trained."""
    found: list[dict[str, Any]] = []

    def answer(spec: dict[str, Any]) -> dict[str, Any]:
        found.append(spec)
        if spec["system"] == "turn" and spec["seed"] == tuning.SEED:
            raise ValueError("turn:small failed: every logged term must be finite")
        return measured(spec)

    monkeypatch.setattr(comparison, "isolated", answer)
    # As if the run before were of another day.
    monkeypatch.setattr(tuning, "STARTED", float("inf"))
    yield found


def command(out: Path, features: Path, *words: str) -> list[str]:
    return ["compare", *FEW, "--features", str(features), "--out", str(out), *words]


def result_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


def test_every_registered_system_is_compared_and_has_a_space() -> None:
    systems = {entries.parts(entry)[0] for entry in entries.all_systems()}
    # Images alone have nothing to be compared across.
    assert systems == set(keras_cmg.models.list_models()) - {"vqvae"}
    assert {"fcid", "fcid:paper_small", "fcid:small"} <= set(entries.all_systems())
    for entry in entries.all_systems():
        assert entry in search_spaces.SPACES or entries.parts(entry)[0] in search_spaces.SPACES


def test_the_default_preset_goes_without_saying() -> None:
    parser = argparse.ArgumentParser()
    parser.set_defaults(smoke=False)
    compare.add_arguments(parser)
    words = ["--systems", "fcid:plus", "fcid", "fcid:small", "dcid:small"]
    chosen = compare.settings_of(parser.parse_args(words))
    assert chosen.systems == ("fcid", "fcid:small", "dcid")
    assert set(chosen.tuned) == set(chosen.systems)


def test_options_of_the_data_set_reach_its_preparation(
    features: Path, tmp_path: Path, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(tmp_path / "run", features, "--systems", "cmcm")
    assert runner.main([*words, "--option", "colour=red"]) == 2
    assert "options of 'synthetic' must be known" in capsys.readouterr().err
    for word in ("split=speaker", "video_channels=8"):
        assert runner.main([*words, "--option", word]) == 2
        assert f"must be an option of the data set. Received: {word!r}" in capsys.readouterr().err
    words += ["--data", "digits", "--split", "speaker"]
    assert runner.main([*words, "--option", "test_speaker=lucas"]) == 2
    assert "`test_speaker` and `val_speaker` must differ" in capsys.readouterr().err
    assert not calls


@pytest.mark.parametrize("entry", entries.all_systems())
def test_every_trial_is_a_system_that_can_be_made(entry: str) -> None:
    system, preset = entries.parts(entry)
    for trial in range(4):
        drawn = search_spaces.draw(entry, trial)
        assert drawn == search_spaces.draw(entry, trial)
        keras_cmg.models.create_model(system, preset, comparison.MODALITIES, **drawn["changes"])
    assert search_spaces.draw(entry, 0)["changes"] == {}
    assert search_spaces.draw(entry, 1) != search_spaces.draw(entry, 2)


def test_the_papers_equations_keep_their_weights() -> None:
    assert search_spaces.draw("fcid:paper_small", 3)["changes"] == {}


def test_an_ablation_undoes_one_thing_at_a_time() -> None:
    presets = keras_cmg.models.FCID.presets
    variants = entries.ablation("plus")
    undone = []
    for name, variant in variants.items():
        if name in ("small", "plus"):
            continue
        values = variant["changes"]
        while isinstance(values, dict):
            assert len(values) == 1
            (values,) = values.values()
        undone.append(name)
    assert len(undone) == len(variants) - 2 >= 4
    # Undoing everything gives "small".
    everything = presets["plus"]
    for name in undone:
        changes = dict(variants[name]["changes"])
        body = changes.pop("backbone", {})
        everything = {
            "backbone": keras_cmg.models.base.presets.merged(everything["backbone"], body),
            "objective": keras_cmg.models.base.presets.merged(everything["objective"], changes),
        }
    assert everything == presets["small"]
    with pytest.raises(ValueError, match="another preset than small"):
        entries.ablation("small")


def test_trials_choose_on_validation_once_for_all_seeds(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    words = ["--systems", "vanilla", "simmmdg", "--trials", "3", "--seeds", "2"]
    assert runner.main(command(out, features, *words, "--resume")) == 0
    trials = [spec for spec in calls if not spec["test"]]
    assert len(trials) == 6 and {spec["seed"] for spec in trials} == {tuning.SEED}
    assert [spec["seed"] for spec in calls if spec["test"]] == [0, 0, 1, 1]
    chosen = json.loads((out / "tuned.json").read_text(encoding="utf-8"))["systems"]["vanilla"]
    rates = [search_spaces.draw("vanilla", trial)["learning_rate"] for trial in range(3)]
    assert chosen["learning_rate"] == max(rates)
    assert [trial["learning_rate"] for trial in chosen["trials"]] == rates
    again = tmp_path / "again"
    words = ["--systems", "vanilla", "--tuned", str(out / "tuned.json")]
    assert runner.main(command(again, features, *words)) == 0
    assert calls[-1]["test"] and calls[-1]["learning_rate"] == max(rates)
    assert len(calls) == 11


def test_what_is_finished_is_kept_system_by_system(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    words = command(out, features, "--systems", "vanilla", "fac", "--seeds", "2", "--resume")

    def stop_at_the_third(spec: dict[str, Any]) -> dict[str, Any]:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(spec)
        return measured(spec)

    monkeypatch.setattr(comparison, "isolated", stop_at_the_third)
    assert runner.main(words) == 130
    assert (out / "seed0" / "result.json").is_file() and not (out / "result.json").exists()
    assert len(calls) == 3
    calls.clear()
    assert runner.main(words) == 0
    assert [(spec["system"], spec["seed"]) for spec in calls] == [("fac", 1)]
    assert set(result_of(out)["runs"][1]["systems"]) == {"vanilla", "fac"}
    # Another budget is another run.
    assert runner.main([*words, "--epochs", "2"]) == 2


def test_without_resume_all_is_measured_anew(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]]
) -> None:
    words = command(tmp_path / "run", features, "--systems", "vanilla")
    assert runner.main(words) == 0 and runner.main(words) == 0
    assert len(calls) == 2


def test_tables_name_what_does_not_beat_chance_and_leave_toc_of_simmmdg_open(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    assert runner.main(command(out, features, "--systems", "simmmdg", "fac", "--seeds", "2")) == 0
    table = (out / "table.md").read_text(encoding="utf-8")
    assert "| simmmdg | – | – | – | – | – |" in table
    assert "| fac | 24.5 ± 6.4 |" in table
    assert "All intervals lie above chance." in table
    results = [result_of(out / f"seed{seed}") for seed in (0, 1)]
    results[0]["systems"]["fac"]["scores"]["codes"]["text->audio"] = 0.05
    assert compare_tables.not_above_chance(results) == ["fac (text->audio)"]


def test_a_trial_that_fails_is_told_and_not_chosen(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(tmp_path / "run", features, "--systems", "turn", "--trials", "2")
    assert runner.main(words) == 2
    assert "every trial of turn failed" in capsys.readouterr().err
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "gpt"], "must be one of"),
        (["--systems", "dcid:plus"], "the preset of dcid must be one of"),
        (["--ablate", "plus", "--systems", "fcid"], "leave out --systems"),
        (["--ablate", "huge"], "--ablate must be one of"),
        (["--trials", "-1"], "--trials must be at least 0"),
        (["--trials", "1", "--tuned", "x.json"], "give one of them"),
        (["--tuned", "no-such-file.json"], "no-such-file.json"),
        (["--epochs", "0"], "--epochs must be positive"),
    ],
)
def test_bad_options_are_told(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.main(["compare", "--out", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_search_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tuned.json"
    path.write_text('{"systems": {"fcid": {}}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"--tuned must be a tuned\.json with learning_rate"):
        tuning.read_settings(path)


def spec_of(features: Path, entry: str, test: bool, **changes: Any) -> dict[str, Any]:
    budget = {"epochs": 1, "batch_size": 5, "probe_epochs": 1, "toc_channels": 16}
    drawn = {**search_spaces.draw(entry, 0), "changes": changes}
    spec = tuning.spec_of({**budget, "features": str(features)}, entry, drawn, 0, test)
    return json.loads(json.dumps(spec))


def test_a_measurement_has_all_scores_and_a_trial_looks_at_no_test_clip(features: Path) -> None:
    backbone = {"num_embeddings": 8, "embedding_dim": 32}
    found = comparison.measure(spec_of(features, "vanilla", True, backbone=backbone))
    assert set(found["scores"]) == set(found["retrieval"]) == {"codes", "toc", "continuous"}
    assert set(found["scores"]["toc"]) == set(PAIRS)
    assert found["memory_gigabytes"] > 0 and found["train_seconds"] > 0
    trial = comparison.measure(spec_of(features, "vanilla", False, backbone=backbone))
    assert trial["validation"] == found["validation"]
    assert not {"scores", "retrieval"} & set(trial)


def test_a_failure_in_a_process_of_its_own_is_an_error_here(features: Path) -> None:
    spec = spec_of(features, "vanilla", False, temperature=-1.0)
    with pytest.raises(ValueError, match="vanilla:small failed: `temperature` must be positive"):
        comparison.isolated(spec)


def test_recall_counts_pairs_classes_and_ties() -> None:
    classes = np.array([0, 0, 1])
    x = {"codes": np.eye(3, dtype="float32")}
    tied = {"codes": np.ones((3, 2, 3), "float32")}
    found = comparison.retrieval({"video": x, "audio": x, "text": tied}, classes)["codes"]
    assert found["instance"]["video<->audio"] == [1.0, 1.0, 1.0]
    assert found["instance"]["text<->audio"][0] == pytest.approx(1 / 3)
    # Two of three queries have two right answers among three alike, one has one.
    assert found["class"]["text<->video"][0] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_schedule_is_checked() -> None:
    with pytest.raises(ValueError, match="'constant' or 'cosine'; received: 'linear'"):
        comparison.learning_rate(1.0, "linear", 10)
    assert comparison.learning_rate(0.5, "constant", 10) == 0.5
