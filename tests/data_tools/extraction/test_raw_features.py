"""Extractors that a run keeps: raw files get the features of the training, and checks of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import data_tools
from data_tools.composing.preparation import ComposedFeatures
from data_tools.extraction import extract
from data_tools.extraction.description import describe_extractors, save_extractors
from data_tools.extraction.raw_features import RawFeatures
from data_tools.io.feature_folder import FeatureFolder
from data_tools.raw.rendering import open_dataset, read_clips
from tests.helpers import tiny_networks
from tests.helpers.own_clips import write_by_class, write_clip_by_clip


def test_files_of_a_prepared_set_get_the_prepared_features(tmp_path: Path) -> None:
    features = data_tools.prepare("synthetic", tmp_path / "features", num_clips={"train": 4})
    assert save_extractors(features, tmp_path)
    folder = FeatureFolder(features)
    clip, dataset = read_clips(folder)[0], open_dataset(folder, None)
    waveform, rate = dataset.waveform(clip), dataset.sample_rate
    soundfile.write(tmp_path / "a.wav", waveform, rate, subtype="FLOAT")
    Image.fromarray(dataset.frames(clip)[0]).save(tmp_path / "a.png")
    raw = RawFeatures(tmp_path, {})
    (sound,) = raw("audio", [str(tmp_path / "a.wav")])
    np.testing.assert_array_equal(sound, folder.read("audio", np.array([0]))[0])
    (picture,) = raw("video", [str(tmp_path / "a.png")])
    assert picture.shape == (10, 7, 7, 64)
    (words,) = raw("text", texts=[clip.caption])
    np.testing.assert_array_equal(words, folder.read("text", np.array([0]))[0])
    folder.close()


def test_files_by_class_are_rendered_as_for_training(tmp_path: Path) -> None:
    clips = write_by_class(tmp_path / "clips", 4)
    opened = ComposedFeatures("folders", str(clips), cache=tmp_path / "cache", split="stratified")
    opened.write(tmp_path / "features", num_clips={"train": 4})
    save_extractors(tmp_path / "features", tmp_path)
    raw = RawFeatures(tmp_path, {})
    for modality, name in (
        ("audio", "sounds/bell/bell1.wav"),
        ("video", "pictures/rain/rain1.png"),
    ):
        (found,) = raw(modality, [str(clips / name)])
        expected = opened.of_item(modality, name)
        if modality == "video":
            # Features are kept in float16.
            np.testing.assert_array_equal(found.astype("float16"), expected)
        else:
            # The noise that is added to a sound depends on its name.
            assert np.abs(found - expected).mean() <= 0.05 * np.abs(expected).mean()
    described = describe_extractors(tmp_path / "features")
    assert described is not None
    assert described["extractors"]["audio"]["rendering"] == {"bandwidth": 8000, "side": 224}
    assert described["extractors"]["text"]["rendering"] is None


def test_networks_are_found_by_their_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("KERAS_CMG_CACHE", str(tmp_path / "cache"))
    clips = write_clip_by_clip(tmp_path / "clips", 3)
    network = tiny_networks.write_onnx_pictures(tmp_path / "net.onnx")
    options: dict[str, Any] = {"model": str(network), "side": 8, "normalization": "unit"}
    options |= {"output": "map", "segments": 2}
    extract(clips, tmp_path / "store", {"video": {"name": "onnx", "options": options}}, 2)
    run = tmp_path / "run"
    run.mkdir()
    save_extractors(tmp_path / "store", run, {"video": {"model": str(network)}})
    file = str(clips / "clip00.png")
    (found,) = RawFeatures(run, {})("video", [file])
    assert found.shape == (2, 4, 4, 5)
    network.rename(tmp_path / "moved.onnx")
    with pytest.raises(
        FileNotFoundError, match=r"needs the file net\.onnx of SHA-256 [0-9a-f]{64}"
    ):
        list(RawFeatures(run, {})("video", [file]))
    (given,) = RawFeatures(run, {"video": str(tmp_path / "moved.onnx")})("video", [file])
    np.testing.assert_array_equal(given, found)
    other = tiny_networks.write_onnx_pictures(tmp_path / "other.onnx", seed=1)
    with pytest.raises(ValueError, match="with which the run was trained, of SHA-256"):
        list(RawFeatures(run, {"video": str(other)})("video", [file]))
    with pytest.raises(ValueError, match=r"`models` must be of \['video'\]"):
        RawFeatures(run, {"audio": str(other)})
    (tmp_path / "moved.onnx").rename(run / "net.onnx")
    (kept,) = RawFeatures(run, {})("video", [file])
    np.testing.assert_array_equal(kept, found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "os:system"}, "must name an extractor of"),
        ({"name": "no.such.module:Class"}, "must name an extractor of"),
        ({"options": {"model": "/etc/passwd"}}, "must name files of extractors under 'files'"),
        ({"segments": 10**9}, "must have 1 to 3600 segments"),
        ({"rendering": {"bandwidth": 1, "side": 10**6}}, "must have a rendering in range"),
        ({"files": {"model": "a.onnx"}}, "must have a checksum of each of its files"),
        ({"state": 3, "sources": None}, "describe extractors"),
    ],
)
def test_descriptions_of_strangers_are_checked(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    good = {
        "name": "words", "options": {}, "sources": {}, "files": {}, "state": None,
        "segments": 10, "rendering": None,
    }  # fmt: skip
    content = {"format": "keras_cmg.extractors/1", "extractors": {"text": {**good, **change}}}
    (tmp_path / "extractors.json").write_text(json.dumps(content))
    if change.get("name") == "os:system":
        with pytest.raises(ValueError, match=r"must name a (sub)?class"):
            list(RawFeatures(tmp_path, {})("text", texts=["a dog"]))
        return
    with pytest.raises(ValueError, match=reason):
        RawFeatures(tmp_path, {})


def test_features_of_others_have_no_extractors(tmp_path: Path) -> None:
    assert describe_extractors(tmp_path) is None
    assert not save_extractors(tmp_path, tmp_path)
