"""Preparation: the published layout, the same twice, whole or absent."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import data_tools
from data_tools import store
from data_tools.io import feature_folder as layout
from data_tools.io.files import sha256_file
from data_tools.raw import preparation
from data_tools.raw.extractors import Extractors
from data_tools.raw.synthetic import Synthetic
from tests.data_tools.conftest import NUM_CLIPS


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def prepare(out: Path, **arguments) -> Path:
    return data_tools.prepare("synthetic", out, num_clips=NUM_CLIPS, video_channels=16, **arguments)


def test_folder_has_the_published_layout(prepared: Path) -> None:
    shapes = {
        "audio_feature.h5": (21, 10, 128),
        "visual_feature.h5": (21, 10, 7, 7, 16),
        "text_feature.h5": (21, 10, 64),
        "labels.h5": (21, 10, 11),
    }
    for name, shape in shapes.items():
        with h5py.File(prepared / name) as file:
            assert file["avadataset"].shape == shape
    for split, rows in {"train": range(12), "val": range(12, 16), "test": range(16, 21)}.items():
        with h5py.File(prepared / f"{split}_order.h5") as file:
            assert file["order"][:].tolist() == list(rows)
    annotations = (prepared / "Annotations.txt").read_text().splitlines()
    captions = (prepared / "captions.txt").read_text().splitlines()
    clips = Synthetic().plan(NUM_CLIPS, 0)
    assert captions == [clip.caption for clip in clips]
    assert annotations == [
        f"{Synthetic.categories[c.category]}&{c.id}&good&{c.start}&{c.end}" for c in clips
    ]


def test_labels_are_the_annotated_seconds(prepared: Path) -> None:
    folder = data_tools.FeatureFolder(prepared)
    labels = folder.read("labels", np.arange(21))
    for row, line in enumerate((prepared / "Annotations.txt").read_text().splitlines()):
        category, _, _, start, end = line.split("&")
        expected = np.zeros((10, 11))
        expected[:, -1] = 1
        expected[int(start) : int(end)] = np.eye(11)[folder.categories.index(category)]
        np.testing.assert_array_equal(labels[row], expected)
    folder.close()


def test_features_are_those_of_the_rendered_clip(prepared: Path) -> None:
    clip = data_tools.render(prepared, 14)
    extractors = Extractors.load(prepared / layout.EXTRACTORS)
    folder = data_tools.FeatureFolder(prepared)
    rows = np.array([14])
    np.testing.assert_array_equal(
        folder.read("audio", rows), extractors.audio(clip["waveform"][None])
    )
    stored = folder.read("video", rows)[0]
    np.testing.assert_allclose(stored, extractors.video(clip["frames"]), rtol=2e-3, atol=1e-3)
    np.testing.assert_array_equal(folder.read("text", rows), extractors.text([clip["caption"]]))
    folder.close()


def test_statistics_come_from_the_training_clips_alone(tmp_path: Path) -> None:
    small = data_tools.prepare(
        "synthetic", tmp_path / "a", num_clips={"train": 6}, video_channels=4
    )
    larger = data_tools.prepare(
        "synthetic", tmp_path / "b", num_clips={"train": 6, "test": 9}, video_channels=4
    )
    assert sha256_file(small / layout.EXTRACTORS) == sha256_file(larger / layout.EXTRACTORS)


def test_same_arguments_give_the_same_files(prepared: Path, tmp_path: Path) -> None:
    again = prepare(tmp_path / "again")
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in (prepared, again)]
    assert manifests[0] == manifests[1]
    other = prepare(tmp_path / "other", seed=1)
    assert sha256_file(other / "audio_feature.h5") != sha256_file(again / "audio_feature.h5")


def test_what_is_there_is_not_made_again(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments) -> None:
        raise RuntimeError("made again")

    monkeypatch.setattr(preparation, "_write_features", refuse)
    assert prepare(copied) == copied
    with pytest.raises(RuntimeError, match="made again"):
        prepare(copied, overwrite=True)


def test_another_preparation_is_not_replaced_unasked(copied: Path) -> None:
    with pytest.raises(ValueError, match=r"made with arguments = .*'seed': 0.*'seed': 1"):
        prepare(copied, seed=1)
    prepare(copied, seed=1, overwrite=True)
    assert json.loads((copied / "manifest.json").read_text())["arguments"]["seed"] == 1


def test_changed_and_foreign_folders_are_refused(copied: Path, tmp_path: Path) -> None:
    (copied / "captions.txt").write_text("changed")
    with pytest.raises(ValueError, match=r"captions\.txt must be as it was written"):
        prepare(copied)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="`out` must be a new or a prepared folder"):
        prepare(foreign)
    assert names(foreign) == {"thesis.txt"}


def test_failure_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Synthetic.frames

    def failing(self, clip):
        if clip.id == "test-00002":
            raise RuntimeError("power cut")
        return frames(self, clip)

    monkeypatch.setattr(Synthetic, "frames", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        prepare(tmp_path / "features")
    assert names(tmp_path) == set()


def test_failure_keeps_the_folder_that_was_to_be_replaced(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sha256_file(copied / "manifest.json")

    def fail(*arguments) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(preparation, "write_descriptions", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        prepare(copied, seed=1, overwrite=True)
    assert sha256_file(copied / "manifest.json") == before
    assert names(copied.parent) == {copied.name}
    assert data_tools.verify(copied)


@pytest.mark.parametrize("num_clips", [{"val": 3}, {"train": 0}, {"train": 3, "dev": 1}, {}])
def test_wrong_numbers_of_clips_are_named(tmp_path: Path, num_clips: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="`num_clips` must give clips of"):
        data_tools.prepare("synthetic", tmp_path / "a", num_clips=num_clips)
    with pytest.raises(ValueError, match=r"`num_clips\['val'\]` must be at least 1. Received: 0"):
        data_tools.prepare("synthetic", tmp_path / "a", num_clips={"train": 3, "val": 0})
    assert names(tmp_path) == set()


def test_digits_are_prepared_from_raw_files(known_digits: Path, tmp_path: Path) -> None:
    out = data_tools.prepare(
        "digits",
        tmp_path / "features",
        root=str(known_digits),
        num_clips={"train": 8, "val": 4, "test": 4},
        split="speaker",
        test_speaker="eve",
        val_speaker="bob",
        video_channels=8,
    )
    assert data_tools.verify(out)[-1].startswith("splits: train 8, val 4, test 4")
    clip = data_tools.render(out, 15)
    assert clip["frames"].shape == (10, 28, 28)
    assert clip["clip"].sources["recordings"][0].split("_")[1] == "eve"
    manifest = json.loads((out / "manifest.json").read_text())
    assert set(manifest["sources"]) == {path.name for path in known_digits.iterdir()}


def test_overwriting_replaces_prepared_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").write_bytes(b"years of work")
    with pytest.raises(ValueError, match="`out` must be new, empty or a folder with manifest"):
        data_tools.prepare("synthetic", tmp_path / "clips", num_clips={"train": 2}, overwrite=True)
    features = data_tools.prepare("synthetic", tmp_path / "f", num_clips={"train": 2})
    for out in (tmp_path / "clips", tmp_path / "clips" / "a.wav", features):
        with pytest.raises(ValueError, match="`out` must be new, empty or a folder with schema"):
            store.pack(features, out, overwrite=True)
    with pytest.raises(ValueError, match="`root` must be new, empty or a folder with schema"):
        store.StoreWriter(tmp_path / "clips", {"a": store.Field((1,))}, overwrite=True)
    assert (tmp_path / "clips" / "a.wav").read_bytes() == b"years of work"
