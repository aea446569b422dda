"""What is found again by content: encoders, scores of trials, measurements."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import data_tools
from data_tools.io.files import sha256_file
from recipes.protocol.clips import Clips
from recipes.runner import content_cache
from recipes.runner.seed_runs import Job
from recipes.runner.settings import Settings
from recipes.training import trained_encoders
from tests.helpers.published_layouts import write_features, write_table

VALUES = {"data": "synthetic", "model": "vanilla", "preset": "small", "set": {}, "epochs": 1}
VALUES |= {"batch_size": 5, "learning_rate": 4e-4, "schedule": "constant", "held_out": ()}


def prepared(folder: Path, seed: int = 0) -> Path:
    sizes = {"train": 10, "val": 5, "test": 5}
    return data_tools.prepare("synthetic", folder, num_clips=sizes, seed=seed)


def changed_in_place(folder: Path) -> None:
    """Other features under the same names and times, with the manifest of a new preparation."""
    times = {path: path.stat() for path in folder.iterdir()}
    path = folder / "audio_feature.h5"
    with h5py.File(path, "r+") as file:
        file["avadataset"][:] = np.roll(file["avadataset"][:], 1, axis=0)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["files"][path.name] = sha256_file(path)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for path, stat in times.items():
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the encoders that were trained; a tiny model takes the place of each."""
    found: list[int] = []

    def train_new(job: Job, clips: Clips) -> trained_encoders.Encoder:
        found.append(job.seed)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        return trained_encoders.Encoder(model, {"loss": [1.0]}, {"seed": job.seed})

    monkeypatch.setattr(trained_encoders, "train_new", train_new)
    return found


def encoder_job(cache: Path, seed: int = 0, **changes: Any) -> Job:
    settings = Settings(**{**VALUES, **changes})
    return Job("table1", "", settings, Settings(cache=str(cache)), seed)


def test_an_encoder_is_found_again_by_content(tmp_path: Path, trainings: list[int]) -> None:
    features, cache = prepared(tmp_path / "here"), tmp_path / "cache"
    first = trained_encoders.encoder_of(encoder_job(cache), Clips("synthetic", features))
    moved = tmp_path / "elsewhere" / "features"
    shutil.copytree(features, moved)
    shutil.move(cache, tmp_path / "other_cache")
    cache = tmp_path / "other_cache"
    again = trained_encoders.encoder_of(encoder_job(cache), Clips("synthetic", moved))
    assert trainings == [0] and again.about == first.about
    changed_in_place(moved)
    trained_encoders.encoder_of(encoder_job(cache), Clips("synthetic", moved))
    assert trainings == [0, 0]
    trained_encoders.encoder_of(encoder_job(cache, seed=1), Clips("synthetic", moved))
    trained_encoders.encoder_of(encoder_job(cache, epochs=2), Clips("synthetic", moved))
    assert trainings == [0, 0, 1, 0]


def test_other_code_and_other_versions_are_another_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = content_cache.key(content_cache.with_code({"seed": 0}))
    assert content_cache.key(content_cache.with_code({"seed": 0})) == before
    monkeypatch.setattr(content_cache, "code_digest", lambda: "other")
    code = content_cache.key(content_cache.with_code({"seed": 0}))
    monkeypatch.undo()
    found = {**content_cache.versions(), "keras": "2"}
    monkeypatch.setattr(content_cache, "versions", lambda: found)
    assert len({before, code, content_cache.key(content_cache.with_code({"seed": 0}))}) == 3


def test_the_code_of_the_library_is_part_of_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the wheel, folders of the packages have other names than in a checkout.
    assert all(any(folder.rglob("*.py")) for folder in content_cache.CODE.values())
    (tmp_path / "layer.py").write_text("a = 1\n")
    monkeypatch.setattr(content_cache, "CODE", {"keras_cmg": tmp_path})
    first = content_cache.code_digest.__wrapped__()
    assert content_cache.code_digest.__wrapped__() == first
    (tmp_path / "layer.py").write_text("a = 2\n")
    assert content_cache.code_digest.__wrapped__() != first


def test_a_result_of_another_identity_under_the_same_key_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_cache, "key", lambda identity: "same")
    first = content_cache.remembered(tmp_path, {"seed": 0}, lambda: {"score": 0})
    second = content_cache.remembered(tmp_path, {"seed": 1}, lambda: {"score": 1})
    assert (first, second) == ({"score": 0}, {"score": 1})


def vggsound(root: Path, seed: int = 0) -> Clips:
    ids = [f"{number:011d}" for number in range(8)]
    table = [("split", "category", "video_id"), *(("train", "bell", id) for id in ids)]
    write_table(root / "vggsound" / "vggsound-avel40k.csv", table)
    shapes = {"audio": (10, 4), "video": (10, 5, 5, 3)}
    write_features(root / "vggsound", ids, shapes, seed)
    return Clips("vggsound", root)


def other_features(root: Path) -> Clips:
    return vggsound(root, seed=1)


def other_annotations(root: Path) -> Clips:
    clips = vggsound(root)
    path = root / "vggsound" / "vggsound-avel40k.csv"
    path.write_text(path.read_text("utf-8").replace("bell", "drum"), encoding="utf-8")
    return clips


@pytest.mark.parametrize("changed", [other_features, other_annotations])
def test_published_data_are_identified_by_content(
    tmp_path: Path, changed: Callable[[Path], Clips]
) -> None:
    """Neither the folder nor names and times of files tell data apart: what is in them does."""
    identity = vggsound(tmp_path / "here").identity()
    assert vggsound(tmp_path / "elsewhere").identity() == identity
    assert changed(tmp_path / "changed").identity() != identity
    assert str(tmp_path) not in json.dumps(identity)
    reference = vggsound(tmp_path / "here")._replace(protocol="reference")
    assert reference.identity() != identity


def test_scores_of_trials_know_their_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("keras_tuner")
    from recipes.training.hyperparameter_search import new_search
    from recipes.training.hyperparameter_spaces import space_of

    trained: list[int] = []
    monkeypatch.setattr(
        "keras_cmg.tuning.CMGHyperModel.trained",
        lambda model, values, seed: trained.append(seed) or model.known,
    )
    monkeypatch.setattr(
        "recipes.training.hyperparameter_search.Search.score", lambda *arguments: 0.5
    )

    def measure(features: Path, **changes: Any) -> None:
        values = {**VALUES, "trials": 1, "method": "random", **changes}
        job = Job("tune", "", Settings(**values), Settings(cache=str(tmp_path / "cache")), 0)
        clips = Clips("synthetic", features)
        search = new_search(job, clips, "vanilla", space_of("vanilla", ["learning_rate"]), (0,))
        search.hypermodel().measure({}, 0)

    features = prepared(tmp_path / "features")
    measure(features)
    shutil.copytree(features, tmp_path / "copy")
    measure(tmp_path / "copy")
    assert len(trained) == 1
    changed_in_place(features)
    measure(features)
    measure(features, batch_size=10)
    measure(features, epochs=2)
    assert len(trained) == 4
