"""The recipe `tune`: its tables, and searches that are killed or spread over processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import data_tools
from recipes.experiments import tune
from recipes.reporting import tuning_tables
from recipes.runner import command_line
from recipes.runner.seed_runs import Run
from recipes.runner.settings import resolve

CLIPS = {"train": 40, "val": 20, "test": 20}


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_tools.prepare("synthetic", tmp_path_factory.mktemp("tune") / "f", num_clips=CLIPS)


def start(repository: Path, out: Path, features: Path, *arguments: str) -> subprocess.Popen:
    command = ["recipes", "tune", "--smoke", "--trials", "4", "--hyperparameters", "learning_rate"]
    options = ["--features", str(features), "--out", str(out), *arguments]
    return subprocess.Popen(
        [sys.executable, "-m", *command, *options],
        cwd=repository,
        env={**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_result(out: Path, process: subprocess.Popen) -> dict:
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-3000:]
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_killed_search_goes_on_and_trains_nothing_twice(repository, tmp_path, features):
    process = start(repository, tmp_path / "run", features)
    scores = tmp_path / "run" / "cache" / "scores"
    deadline = time.monotonic() + 300
    while not list(scores.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in scores.glob("*.json")}
    assert 1 <= len(before) < 4
    assert not (tmp_path / "run" / "result.json").exists()
    result = read_result(tmp_path / "run", start(repository, tmp_path / "run", features))
    after = {path.name: path.stat().st_mtime_ns for path in scores.glob("*.json")}
    assert {name: after[name] for name in before} == before
    assert sorted(trial["trial"] for trial in result["trials"]) == [0, 1, 2, 3]
    assert all(0 <= trial["score"] <= 1 for trial in result["trials"])
    whole = read_result(tmp_path / "whole", start(repository, tmp_path / "whole", features))
    assert result["trials"] == whole["trials"]


@pytest.mark.slow
def test_workers_share_the_trials_of_a_search(repository, tmp_path, features):
    process = start(repository, tmp_path / "run", features, "--workers", "2")
    result = read_result(tmp_path / "run", process)
    assert sorted(trial["trial"] for trial in result["trials"]) == [0, 1, 2, 3]
    assert all(0 <= trial["score"] <= 1 for trial in result["trials"])
    # The trials' scores, and the preset's.
    assert len(list((tmp_path / "run" / "cache" / "scores").glob("*.json"))) == 4


def search_result(seed: int, gains: list[float]) -> Run:
    def final(across):
        return {"source validation": 0.9, "across modalities": across, "within a modality": 0.8}

    values = {"num_embeddings": 400, "learning_rate": 4e-4}
    return Run(
        Path("run"),
        {
            "seed": seed,
            "preset_values": values,
            "search_seconds": 61.0,
            "trials": [
                {"trial": 1, "values": {**values, "num_embeddings": 100}, "score": 0.7},
                {"trial": 0, "values": {}, "score": 0.5, "message": None},
                {"trial": 2, "values": values, "score": None, "message": "out of memory"},
            ],
            "final": {
                "preset": [final(0.5) for _ in gains],
                "best found": [final(0.5 + gain) for gain in gains],
            },
        },
    )


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [([0.1, 0.11, 0.12], "better across modalities were found"), ([0.1, -0.1, 0.0], "No settings")],
)
def test_the_verdict_needs_an_interval_above_zero(gains, verdict):
    table = tuning_tables.final_table([search_result(0, gains)])
    assert verdict in table.note
    assert list(table.rows) == ["preset", "best found", "difference"]


def test_trials_are_listed_with_those_that_failed():
    table = tuning_tables.trials_table(search_result(0, [0.0, 0.0]))
    assert [(name, cells[0]) for name, cells in table.cells()] == [
        ("trial 1", "70.0"),
        ("preset", "50.0"),
        ("trial 2", "failed"),
    ]
    assert table.columns == ("score", "num_embeddings", "learning_rate")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "0"], "--workers must be at least 1"),
        (["--trials", "0"], "--trials must be at least 1"),
        (["--epochs", "-1"], "--epochs must be at least 1"),
        (["--hyperparameters", "momentum"], "--hyperparameters must be of"),
    ],
)
def test_options_are_checked(words, message):
    given = command_line.recipe_parser("tune", tune).parse_args(words)
    with pytest.raises(ValueError, match=message):
        tune.check(resolve(tune.OPTIONS, given)[0])
