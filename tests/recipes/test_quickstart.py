"""The quickstart on its smoke settings: what it leaves, that it repeats, how it fails."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import data_tools
import keras_cmg
from recipes.protocol import clips
from recipes.protocol.clips import Clips, encode
from recipes.runner import command_line
from recipes.runner.seed_runs import Job
from recipes.runner.settings import Settings
from recipes.training.trained_encoders import new_model, open_clips
from tests.conftest import REPOSITORY
from tests.helpers.own_clips import write_by_class

PAIRS = {f"{a}->{b}" for a in ("audio", "video", "text") for b in ("audio", "video", "text")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quickstart") / "run"
    assert command_line.main(["quickstart", "--smoke", "--epochs", "1", "--out", str(out)]) == 0
    return out


def read_result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_result_says_all(finished: Path) -> None:
    result = read_result(finished)
    assert result["protocol"] == "heldout" and result["smoke"] and result["seed"] == 0
    assert result["chance"] == pytest.approx(0.1)
    for scores in (result["scores"], result["continuous"], *result["toc"].values()):
        assert set(scores) == PAIRS
        assert all(0 <= score <= 1 for score in scores.values())
    assert set(result["toc"]) == {"128", "64"}
    used = result["codes_used"]
    assert set(used) == {"audio", "video", "text", "any", "shared", "partial", "specific"}
    assert used["any"] == used["shared"] + used["partial"] + used["specific"]
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert 0 <= result["label_agreement"] <= 1 and 0 <= result["nearest_shared_label"] <= 1
    assert result["command"].endswith(f"quickstart --smoke --epochs 1 --out {finished}")
    assert {"python", "keras", "engine", "engine_version", "numpy"} <= set(result["versions"])
    manifest = data_tools.FeatureFolder(finished / "features").manifest
    assert result["features"]["files"] == manifest["files"]


def test_the_run_has_a_card_and_encodes_files(finished: Path, tmp_path: Path) -> None:
    model = keras_cmg.load(finished)
    pair = model.card["numbers"]["video->audio"]
    assert pair == {
        "accuracy of a linear probe": read_result(finished)["scores"]["video->audio"],
        "chance": pytest.approx(0.1),
    }
    assert model.card["data"]["classes"] == list(model.labels)
    assert 'files=["FILE"]' in (finished / "README.md").read_text(encoding="utf-8")
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    assert model.encode("video", files=[tmp_path / "red.png"]).vectors.shape == (1, 256)


def test_history_has_every_epoch(finished: Path) -> None:
    history = json.loads((finished / "history.json").read_text(encoding="utf-8"))
    assert {"loss", "val_loss"} <= set(history)
    assert {len(values) for values in history.values()} == {1}


def test_report_has_its_pictures_and_needs_nothing_else(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/png;base64,[\w+/=]{500,}"', page)) >= 3
    assert len(page) < 700_000
    addresses = re.findall(r'(?:src|href)="([^"]{0,5})', page)
    assert set(addresses) == {"data:"}
    score = read_result(finished)["scores"]["audio->text"]
    assert f"{100 * score:.1f}</td>" in page
    assert "smoke run" in page


def test_saved_model_gives_the_codes_of_the_result(finished: Path) -> None:
    backbone = keras.saving.load_model(finished / "model.keras").backbone
    source = Clips("synthetic", finished / "features")
    codes = encode(backbone, source, "test", "text", "clip").codes
    used = sum(len(np.unique(level)) for level in codes["indices"].T)
    assert used == read_result(finished)["codes_used"]["text"]
    direct = data_tools.load(finished / "features", "test", ("text",), format="numpy")
    encoded = backbone.encode("text", direct["text"], level="clip", mask=direct["text_mask"])
    assert codes["indices"].tolist() == encoded["indices"].tolist()


def test_saved_probes_give_the_scores_of_the_result(finished: Path) -> None:
    backbone = keras.saving.load_model(finished / "model.keras").backbone
    source = Clips("synthetic", finished / "features")
    found = encode(backbone, source, "test", "audio", labels=True)
    classes = clips.clip_classes(found.labels)
    names = (finished / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert names == list(data_tools.FeatureFolder(finished / "features").categories)
    for source in ("audio", "video", "text"):
        probe = keras.saving.load_model(finished / f"probe_{source}.keras")
        logits = probe.predict(found.codes["quantized"], verbose=0)
        score = read_result(finished)["scores"][f"{source}->audio"]
        assert (logits.argmax(axis=-1) == classes).mean() == pytest.approx(score)


def test_a_picture_of_queries_is_drawn_from_a_run(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_query = runpy.run_path(str(REPOSITORY / "docs" / "pictures" / "draw_query.py"))
    out = tmp_path / "query.webp"
    draw_query["main"](["--run", str(finished), "--out", str(out)])
    with Image.open(out) as picture:
        assert picture.format == "WEBP" and picture.width == 1200
    shares = re.findall(r"(\w+): ([\d.]+) of (\d+) hits", capsys.readouterr().out)
    assert [(name, number) for name, _, number in shares] == [("video", "100"), ("text", "40")]
    assert all(0 <= float(share) <= 1 for _, share, _ in shares)


def test_same_seed_same_result_from_the_cache(finished: Path, tmp_path: Path) -> None:
    out, features = tmp_path / "again", finished / "features"
    words = ["--smoke", "--epochs", "1", "--out", str(out), "--features", str(features)]
    assert command_line.main(["quickstart", *words]) == 0
    first, second = read_result(finished), read_result(out)
    for key in ("scores", "toc", "continuous", "codes_used", "probe_validation"):
        assert first[key] == second[key]
    assert not (out / "features").exists()


def test_features_of_something_else_are_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = finished / "features"
    words = ["quickstart", "--out", str(tmp_path / "run"), "--features", str(features)]
    assert command_line.main(words) == 2
    error = capsys.readouterr().err
    assert f"features in {features}" in error and "must not hold another preparation" in error
    assert data_tools.verify(features)


def test_a_loss_that_explodes_is_told_and_leaves_nothing(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, features = tmp_path / "run", tmp_path / "features"
    shutil.copytree(finished / "features", features)
    words = ["--smoke", "--out", str(out), "--features", str(features), "--learning-rate", "1e30"]
    assert command_line.main(["quickstart", *words]) == 2
    error = capsys.readouterr().err
    assert "must be finite" in error and error.count("\n") == 1
    assert not out.exists()
    assert data_tools.verify(features)


def test_a_later_run_prepares_its_own_features_again(tmp_path: Path) -> None:
    settings = Settings(
        data="synthetic", num_clips={"train": 2, "val": 1, "test": 1}, split=None, option={},
        protocol="heldout",
    )  # fmt: skip
    resources = Settings(out=str(tmp_path / "run"), features=None, root=None)
    first = open_clips(Job("quickstart", "", settings, resources, 0))
    larger = settings.replace(num_clips={"train": 3, "val": 1, "test": 1})
    again = open_clips(Job("quickstart", "", larger, resources, 0))
    assert again.root == first.root
    assert len(again.select("train", ("audio",)).examples) == 3
    named = resources.replace(features=str(first.root))
    with pytest.raises(ValueError, match="must not hold another preparation"):
        open_clips(Job("quickstart", "", settings, named, 0))


def test_one_modality_is_no_training_across_modalities() -> None:
    settings = Settings(model="fcid", preset="plus", set={})
    with pytest.raises(ValueError, match=r"must have clips of two modalities\. Received: video"):
        new_model(settings, ("video",), 0)


def test_clips_by_class_are_divided_as_asked_and_prepared_again(tmp_path: Path) -> None:
    root = write_by_class(tmp_path / "clips", 4)
    settings = Settings(
        data="folders", num_clips={"train": 2, "val": 1, "test": 1}, split="stratified", option={},
        protocol="heldout",
    )  # fmt: skip
    resources = Settings(out=str(tmp_path / "run"), features=None, root=str(root))
    first = open_clips(Job("quickstart", "", settings, resources, 0))
    assert first.folder().manifest["options"]["split"] == "stratified"
    larger = settings.replace(num_clips={"train": 4, "val": 1, "test": 1})
    again = open_clips(Job("quickstart", "", larger, resources, 0))
    assert len(again.select("train", ("audio",)).examples) == 4
    with pytest.raises(ValueError, match="split=official must be that of the preparation"):
        named = resources.replace(features=str(first.root))
        open_clips(Job("quickstart", "", larger.replace(split="official"), named, 0))
