"""The comparison of models: what is compared, tuned, kept and measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import data_tools
import keras_cmg
from keras_cmg.optimizers.learning_rates import scheduled_learning_rate
from recipes.experiments import compare
from recipes.protocol.clips import Clips
from recipes.reporting import compare_pictures, compare_tables, group_intervals
from recipes.runner import command_line
from recipes.runner.settings import resolve
from recipes.training import (
    best_epoch,
    hyperparameter_spaces,
    model_entries,
    model_measurement,
    tuned_models,
)
from recipes.training.ablation_variants import undone_parts
from recipes.training.model_measurement import PAIRS as MODALITY_PAIRS
from tests.helpers.media_collections import write_collections

MODALITIES = ("audio", "video", "text")
FEW = ["--num-clips", "10", "5", "10", "--epochs", "1", "--batch-size", "5", "--labels", "1"]
PAIRS = [f"{a}->{b}" for a in MODALITIES for b in MODALITIES]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {"train": 10, "val": 5, "test": 10}
    return data_tools.prepare("synthetic", tmp_path_factory.mktemp("data") / "f", num_clips=clips)


def measured(request: dict[str, Any]) -> dict[str, Any]:
    """What a model might measure: better the higher its learning rate, and by its seed."""
    settings = request["settings"]
    score = 0.2 + 100 * settings["learning_rate"] + 0.01 * request["seed"]
    recall = {f"{a}<->{b}": [score] * 3 for a, b in MODALITY_PAIRS}
    views = ["codes", "continuous"]
    if settings["model"] != "simmmdg":
        views += ["identities", "identities, text by token", "toc", "toc at half"]
    scores = {view: dict.fromkeys(PAIRS, score) for view in views}
    found = {
        "train_seconds": 1.0,
        "epoch": 1,
        "memory_gigabytes": 0.001,
        "parameters": {"model": 2, "kept": 1},
        "validation": score,
        "scores": scores,
        # Eight of ten test clips are right.
        "correct": {view: dict.fromkeys(PAIRS, "ff00") for view in views},
        "few_labels": {"1": scores},
        "toc": {},
        "segments": {view: dict.fromkeys(PAIRS, score) for view in views},
        "retrieval": {view: {"class": recall, "instance": recall} for view in views},
    }
    if settings["model"] != "simmmdg":
        shares = {"specific": 0.25, "partial": 0.25, "shared": 0.5}
        found["shares"] = {"clip": shares, "token": shares}
        found["overlap"] = {level: {"mean": 0.5} for level in ("clip", "token")}
        found["toc"] = {"criteria": {"paper": dict.fromkeys(PAIRS, score)}}
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The requests of all measurements, which are quick here: nothing is trained."""
    found: list[dict[str, Any]] = []

    def answer(request: dict[str, Any], workers: int) -> dict[str, Any]:
        found.append(request)
        return measured(request)

    monkeypatch.setattr(model_measurement, "isolated", answer)
    yield found


def command(out: Path, features: Path, *words: str) -> list[str]:
    return ["compare", *FEW, "--features", str(features), "--out", str(out), *words]


def result_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


def checked(*words: str):
    given = command_line.recipe_parser("compare", compare).parse_args(list(words))
    return compare.check(resolve(compare.OPTIONS, given)[0])


def test_every_registered_model_is_compared_and_has_a_space() -> None:
    entries = model_entries.all_entries()
    # Images alone have nothing to be compared across.
    models = {model_entries.parts(entry)[0] for entry in entries}
    assert models == set(keras_cmg.models.list_models()) - {"vqvae"}
    assert {"fcid", "fcid:paper_small", "fcid:small"} <= set(entries)
    spaces = hyperparameter_spaces.ARGUMENTS
    assert all(e in spaces or model_entries.parts(e)[0] in spaces for e in entries)


def test_the_default_preset_is_left_out_of_names() -> None:
    chosen = checked("--models", "fcid:plus", "fcid", "fcid:small", "dcid:small")
    assert chosen.models == ("fcid", "fcid:small", "dcid")
    assert set(chosen.known) == set(chosen.models)


def test_options_of_the_data_set_reach_its_preparation(
    features: Path, tmp_path: Path, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(tmp_path / "run", features, "--models", "cmcm")
    assert command_line.main([*words, "--option", "colour=red"]) == 2
    assert "options of 'synthetic' must be known" in capsys.readouterr().err
    words += ["--data", "digits", "--split", "speaker"]
    assert command_line.main([*words, "--option", "test_speaker=lucas"]) == 2
    assert "`test_speaker` and `val_speaker` must differ" in capsys.readouterr().err
    assert not calls


@pytest.mark.parametrize("entry", model_entries.all_entries())
def test_every_value_of_a_space_is_an_argument_of_the_model(entry: str) -> None:
    pytest.importorskip("keras_tuner")
    from keras_cmg import tuning

    space = hyperparameter_spaces.space_of(entry)
    model, preset = model_entries.parts(entry)
    searched = tuning.CMGHyperModel(
        model,
        None,
        None,
        "scores",
        modalities=MODALITIES,
        preset=preset,
        space=tuning.Space(**space),
    )
    arguments = space["arguments"]
    for values in (
        {name: tried[0] for name, tried in arguments.items()},
        {name: tried[-1] for name, tried in arguments.items()},
    ):
        assert searched.create(values, 0).backbone.modalities == MODALITIES


REPOSITORY = tuned_models.read_tuned(tuned_models.CONFIGS / "compare_digits.json")


@pytest.mark.parametrize("entry", REPOSITORY)
def test_the_settings_in_the_repository_fit_their_models(entry: str) -> None:
    """Those of models that were searched; the others run as their preset."""
    assert entry in model_entries.all_entries()
    model, preset = model_entries.parts(entry)
    arguments = REPOSITORY[entry]["arguments"]
    made = keras_cmg.models.create_model(model, preset, MODALITIES, **arguments)
    assert made.backbone.modalities == MODALITIES
    assert REPOSITORY[entry]["learning_rate"] > 0
    scheduled_learning_rate(REPOSITORY[entry]["learning_rate"], REPOSITORY[entry]["schedule"], 10)


def test_the_papers_equations_keep_their_weights() -> None:
    assert hyperparameter_spaces.arguments_of("fcid:paper_small") == {}


def test_every_row_of_the_ablation_of_plus_makes_a_model() -> None:
    rows = undone_parts("plus")
    models = {
        name: keras_cmg.models.create_model("fcid", "plus", **row["arguments"])
        for name, row in rows.items()
    }
    quantizers = {name: model.backbone.quantizer for name, model in models.items()}
    assert type(quantizers["plus, one group of channels"]).__name__ == "Prototypes"
    averages = quantizers["plus, InfoNCE alone, codes by moving averages"]
    assert type(averages).__name__ == "Codebook" and averages.decay == 0.9


def test_an_ablation_undoes_one_thing_at_a_time() -> None:
    presets = keras_cmg.models.FCID.presets
    variants = undone_parts("disentangled")
    undone = []
    for name, variant in variants.items():
        if name in ("small", "disentangled"):
            continue
        values = variant["arguments"]
        while isinstance(values, dict):
            assert len(values) == 1
            (values,) = values.values()
        undone.append(name)
    assert len(undone) == len(variants) - 2 >= 4
    # Undoing everything gives "small".
    everything = presets["disentangled"]
    for name in undone:
        changes = dict(variants[name]["arguments"])
        body = changes.pop("backbone", {})
        everything = {
            "backbone": keras_cmg.models.base.presets.merged(everything["backbone"], body),
            "objective": keras_cmg.models.base.presets.merged(everything["objective"], changes),
        }
    assert everything == presets["small"]
    with pytest.raises(ValueError, match="another preset than small"):
        undone_parts("small")


@pytest.mark.filterwarnings("ignore:.* is deprecated:DeprecationWarning")  # of KerasTuner
def test_trials_choose_on_validation_once_for_all_seeds(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = pytest.importorskip("keras_cmg.tuning")
    tried: list[dict[str, Any]] = []

    def trained(model, values, seed):
        tried.append({**values, "seed": seed, "entry": model.system})
        return model.known

    def score(model, values, seed):
        return 100 * values.get("learning_rate", 0.0)

    monkeypatch.setattr(tuning.CMGHyperModel, "trained", trained)
    monkeypatch.setattr(
        "recipes.training.hyperparameter_search.Search.score",
        lambda search, backbone, mask, seed: 100 * tried[-1].get("learning_rate", 0.0),
    )
    out = tmp_path / "run"
    words = ["--models", "vanilla", "simmmdg", "--trials", "3", "--seeds", "2"]
    assert command_line.main(command(out, features, *words, "--resume")) == 0
    # The preset and two draws of each model, for both seeds of the comparison together.
    assert len(tried) == 6 and {trial["seed"] for trial in tried} == {tuned_models.SEARCH_SEED}
    assert [request["seed"] for request in calls] == [0, 0, 1, 1]
    chosen = json.loads((out / "tuned.json").read_text(encoding="utf-8"))["models"]["vanilla"]
    rates = [trial["learning_rate"] for trial in tried if "learning_rate" in trial][:2]
    assert chosen["learning_rate"] == max(rates)
    assert [trial["validation"] for trial in chosen["trials"]] == [
        pytest.approx(100 * rate) for rate in (0.0, *rates)
    ]
    again = tmp_path / "again"
    words = ["--models", "vanilla", "--tuned", str(out / "tuned.json")]
    assert command_line.main(command(again, features, *words)) == 0
    assert calls[-1]["settings"]["learning_rate"] == max(rates)
    assert len(calls) == 5 and len(tried) == 6


def test_finished_measurements_are_kept_model_by_model(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    words = command(out, features, "--models", "vanilla", "fac", "--seeds", "2", "--resume")

    def stop_at_the_third(request: dict[str, Any], workers: int) -> dict[str, Any]:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(request)
        return measured(request)

    monkeypatch.setattr(model_measurement, "isolated", stop_at_the_third)
    assert command_line.main(words) == 130
    monkeypatch.setattr(
        model_measurement,
        "isolated",
        lambda request, workers: calls.append(request) or measured(request),
    )
    assert command_line.main(words) == 0
    keys = [(request["settings"]["model"], request["seed"]) for request in calls]
    assert keys == [("vanilla", 0), ("fac", 0), ("vanilla", 1), ("fac", 1)]


def test_measurements_are_found_again_elsewhere_and_not_on_other_data(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]]
) -> None:
    """The same clips in another folder are the same; other clips of the same names are not."""
    cache = ["--cache", str(tmp_path / "cache"), "--models", "vanilla"]
    assert command_line.main(command(tmp_path / "one", features, *cache)) == 0
    moved = data_tools.prepare(
        "synthetic", tmp_path / "moved", num_clips={"train": 10, "val": 5, "test": 10}
    )
    assert command_line.main(command(tmp_path / "two", moved, *cache)) == 0
    assert len(calls) == 1
    other = tmp_path / "other"
    words = [*FEW, "--features", str(other), "--out", str(tmp_path / "three"), *cache]
    words[words.index("10")] = "11"
    assert command_line.main(["compare", *words]) == 0
    assert len(calls) == 2


def test_tables_name_what_does_not_beat_chance_and_leave_toc_of_simmmdg_open(
    tmp_path: Path, features: Path, calls: list[dict[str, Any]]
) -> None:
    out = tmp_path / "run"
    words = command(out, features, "--models", "simmmdg", "fac", "--seeds", "2")
    assert command_line.main(words) == 0
    table = (out / "table.md").read_text(encoding="utf-8")
    assert "| simmmdg | – | – | – | – | – |" in table
    rate = calls[-1]["settings"]["learning_rate"]
    assert f"| fac | {100 * (0.205 + 100 * rate):.1f} ± 6.4 |" in table
    assert "All intervals lie above chance." in table
    results = [result_of(out / f"seed{seed}") for seed in (0, 1)]
    results[0]["models"]["fac"]["scores"]["codes"]["text->audio"] = -0.5
    assert compare_tables.not_above_chance(results) == ["fac (text->audio)"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--models", "gpt"], "--models must be of aha"),
        (["--models", "dcid:plus"], "--preset of dcid must be one of"),
        (["--ablate", "disentangled", "--models", "fcid"], "leave out --models"),
        (["--ablate", "huge"], "--ablate must be one of"),
        (["--trials", "-1"], "--trials must be at least 0"),
        (["--trials", "1", "--tuned", "x.json"], "give one of them"),
        (["--tuned", "no-such-file.json"], "no-such-file.json"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--labels", "0"], "--labels must be at least 1"),
    ],
)
def test_bad_options_are_told(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["compare", "--out", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_search_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tuned.json"
    path.write_text('{"models": {"fcid": {}}}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"--tuned must be a tuned\.json with learning_rate"):
        tuned_models.read_tuned(path)


def request_of(features: Path, model: str, **arguments: Any) -> dict[str, Any]:
    settings = {"model": model, "preset": "small", "set": arguments, "learning_rate": 4e-4}
    settings |= {"schedule": "constant", "epochs": 2, "batch_size": 5, "labels": [1]}
    clips = {**Clips("synthetic", features)._asdict(), "root": str(features)}
    return {"settings": {**settings, "toc_channels": [16]}, "clips": clips, "seed": 0}


VIEWS = {"codes", "identities", "identities, text by token", "toc", "toc at half", "continuous"}


def test_a_measurement_has_all_scores(features: Path) -> None:
    backbone = {"num_embeddings": 8, "embedding_dim": 32}
    found = model_measurement.measure(**request_of(features, "vanilla", backbone=backbone))
    assert set(found["scores"]) == set(found["correct"]) == VIEWS
    assert set(found["few_labels"]["1"]) == VIEWS - {"toc"}
    assert set(found["scores"]["toc"]) == set(PAIRS)
    # What is kept of each clip gives the accuracies again.
    for view, scores in found["scores"].items():
        for pair, score in scores.items():
            right = group_intervals.unpacked(found["correct"][view][pair], 10)
            assert right.mean() == pytest.approx(score)
    assert np.sum(found["confusion"]["codes"]["audio->text"]) == 10
    assert set(found["toc"]["criteria"]) == {"paper", "usage", "centred", "agreement", "random"}
    assert all(number == 16 for number in found["toc"]["channels"].values())
    assert set(found["segments"]) == {"codes", "identities"}
    assert sum(found["shares"]["token"].values()) == pytest.approx(1)
    assert found["memory_gigabytes"] > 0 and found["train_seconds"] > 0
    assert found["validation"] == max(found["validation_of_epochs"])
    assert len(found["validation_of_epochs"]) == 2


def test_several_codes_per_vector_are_measured_too(features: Path) -> None:
    backbone = {"num_embeddings": 8, "embedding_dim": 16, "specific_dim": 16}
    found = model_measurement.measure(**request_of(features, "codebind", backbone=backbone))
    assert set(found["scores"]) == VIEWS
    assert all(number == 16 for number in found["toc"]["channels"].values())
    assert set(found["toc"]["criteria"]) == {"paper", "usage", "centred", "agreement", "random"}
    assert {len(clip) for codes in found["clip_codes"].values() for clip in codes} == {2}
    assert all(len(used) == 3 for used in found["used"].values())


def test_the_best_epoch_is_kept(features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the epochs that are equally good on validation clips the last one."""
    scores = iter([0.5, 0.75, 0.75, 0.25])
    monkeypatch.setattr(best_epoch, "within_modality", lambda backbone, clips: next(scores))
    best = best_epoch.BestEpoch(Clips("synthetic", features))
    seen = []
    model = keras.Sequential([keras.layers.Dense(1)])
    model.backbone = None
    record = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(model.get_weights())
    )
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 1)), np.zeros((4, 1)), epochs=4, verbose=0, callbacks=[record, best])
    assert best.epoch == 3
    for kept, third in zip(model.get_weights(), seen[2], strict=True):
        np.testing.assert_array_equal(kept, third)
    assert not np.array_equal(seen[2][0], seen[3][0])


def test_a_failure_in_a_process_of_its_own_is_an_error_here(features: Path) -> None:
    request = request_of(features, "vanilla", temperature=-1.0)
    with pytest.raises(ValueError, match="vanilla:small failed: `temperature` must be positive"):
        model_measurement.isolated(request)


def test_a_process_of_its_own_filters_logs_before_engines_are_imported(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "asked.py").write_text(
        "import sys\n"
        "def finders(settings):\n"
        "    return {'finders': [type(one).__name__ for one in sys.meta_path]}\n"
    )
    code = (
        "import asked\n"
        "from recipes.training.model_measurement import isolated\n"
        "print(isolated({'settings': {}}, function=asked.finders))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": f"{repository}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert "_QuietFinder" in done.stdout, done.stderr


def test_recall_counts_pairs_classes_and_ties() -> None:
    classes = np.array([0, 0, 1])
    x, tied = np.eye(3, dtype="float32"), np.ones((3, 3), "float32")
    everywhere = dict.fromkeys(MODALITIES, np.ones(3, bool))
    vectors = {"codes": {"video": x, "audio": x, "text": tied}}
    found = model_measurement.recalls_of(vectors, classes, everywhere)["codes"]
    assert found["instance"]["video<->audio"] == [1.0, 1.0, 1.0]
    assert found["instance"]["text<->audio"][0] == pytest.approx(1 / 3)
    # Two of three queries have two right answers among three alike, one has one.
    assert found["class"]["text<->video"][0] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_recall_of_identities_compares_shares_of_codes() -> None:
    """A clip on three codes is nearer to one on the same three than to one on a single one."""
    queries = np.array([[0.6, 0.2, 0.2]])
    answers = np.array([[0.2, 0.4, 0.4], [1.0, 0.0, 0.0]])
    vectors = {"audio": np.repeat(queries, 2, axis=0), "video": answers, "text": answers}
    everywhere = dict.fromkeys(MODALITIES, np.ones(2, bool))
    found = model_measurement.recalls_of({"identities": vectors}, np.array([0, 1]), everywhere)[
        "identities"
    ]["instance"]["video<->audio"]
    # Forward, both pictures find both sounds alike; backward, both sounds find the first picture.
    assert found[0] == pytest.approx(0.5)


def test_clips_without_a_modality_are_not_searched() -> None:
    x = np.eye(3, dtype="float32")
    present = dict.fromkeys(MODALITIES, np.ones(3, bool))
    present["text"] = np.array([True, False, True])
    wrong = x[[0, 2, 2]]
    vectors = {"codes": {"video": x, "audio": x, "text": wrong}}
    found = model_measurement.recalls_of(vectors, np.arange(3), present)["codes"]["instance"]
    assert found["text<->audio"][0] == 1.0


def test_schedule_is_checked() -> None:
    with pytest.raises(ValueError, match=r"`schedule` must be one of .* Received: 'linear'"):
        scheduled_learning_rate(1.0, "linear", 10)
    assert scheduled_learning_rate(0.5, "constant", 10) == 0.5


def test_files_become_a_comparison_in_two_commands(tmp_path: Path) -> None:
    """From recordings, pictures and captions to tables, pictures and clips that share a code."""
    from data_tools.__main__ import main as data_tools_main

    root, folder, out = write_collections(tmp_path / "raw"), tmp_path / "features", tmp_path / "run"
    small = ["--train", "12", "--val", "4", "--test", "4", "--video-channels", "8"]
    words = ["--option", "classes=dog,sea", "--cache", str(tmp_path / "cache"), *small]
    words += ["--root", str(root), "--out", str(folder)]
    assert data_tools_main(["prepare", "natural", *words]) == 0
    few = ["--models", "vanilla", "simmmdg", "--smoke", "--batch-size", "4", "--workers", "2"]
    data = ["--data", "natural", "--features", str(folder)]
    words = ["compare", *data, *few, "--out", str(out)]
    assert command_line.main(words) == 0
    table = (out / "table.md").read_text(encoding="utf-8")
    for title in (
        "Probes on code vectors (%)",
        "Probes on code identities (%)",
        "Paired differences from vanilla (points)",
        "Sharing of codes (% of segments)",
        "dog by collection (%)",
        "Ceilings: probes within a modality (%)",
        "Few labels (%)",
        "Seconds of events (F1, %)",
        "Half the dimensions, by criterion (points)",
    ):
        assert title in table
    found = result_of(out)
    assert found["num_clips"] == {"train": 12, "val": 4, "test": 4}
    assert all(groups for groups in found["groups"]["audio"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Confusions of vanilla" in page and "12 training clips" in page
    codes = {"audio": [0, 1, 2, 3], "video": [1, 0, 2, 2], "text": [1, 0, -1, 3]}
    clips = Clips("natural", folder)
    assert compare_pictures.write_shared_codes(tmp_path, clips, "vanilla", codes, str(root))
    page = (tmp_path / "shared_codes.html").read_text(encoding="utf-8")
    assert "audio/mpeg" in page and "image/webp" in page
    # A set that was prepared with other options is another set.
    words = [*words[:-1], str(tmp_path / "other"), "--option", "captions=masked"]
    assert command_line.main(words) == 2


def test_unknown_models_are_named_by_the_option() -> None:
    for entry in ("fcdi", "vqvae", "vqvae:small"):
        with pytest.raises(ValueError, match=f"--models must be of aha, .*Received: '{entry}'"):
            model_entries.checked_entries([entry])
