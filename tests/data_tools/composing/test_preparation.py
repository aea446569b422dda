"""Feature folders of composed data sets: gathered features are those of the composed signals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import data_tools
from data_tools.__main__ import main
from data_tools.extraction import open_extractors
from data_tools.io.feature_folder import FeatureFolder
from data_tools.raw.rendering import read_clips
from tests.helpers import tiny_networks
from tests.helpers.media_collections import write_collections

WORDS = ["--train", "12", "--val", "4", "--test", "4", "--video-channels", "8", "--text-dim", "16"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small collections; only to be read."""
    return write_collections(tmp_path_factory.mktemp("collections"))


@pytest.fixture(scope="module")
def words(root: Path) -> list[str]:
    """A command line without `--out`; features of files are kept between calls."""
    cache = str(root.parent / "cache")
    classes = ["--option", "classes=dog,sea"]
    return ["prepare", "natural", "--root", str(root), "--cache", cache, *classes, *WORDS]


@pytest.fixture(scope="module")
def prepared(root: Path, words: list[str]) -> Path:
    """The folder with features that need no pretrained network; only to be read."""
    out = root.parent / "prepared"
    assert main([*words, "--out", str(out), "--workers", "2"]) == 0
    return out


def test_the_folder_is_whole(prepared: Path) -> None:
    lines = data_tools.verify(prepared)
    assert "train 12, val 4, test 4, no clip and no raw material in two of them" in lines[-1]
    arrays = data_tools.load(prepared, "train", format="numpy", labels=True)
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    assert shapes == {
        "audio": (10, 128),
        "video": (10, 7, 7, 8),
        "text": (10, 16),
        "text_mask": (10,),
        "labels": (10, 3),
    }


def test_features_are_those_of_the_composed_signals(prepared: Path) -> None:
    folder = FeatureFolder(prepared)
    rows = np.array([0, 5, 13])
    stored = {kind: folder.read(kind, rows) for kind in ("audio", "video", "text", "labels")}
    extractors = open_extractors(prepared).extractors
    for modality in ("audio", "video"):
        extractors[modality].segments = 10  # type: ignore[attr-defined]
    for place, row in enumerate(rows):
        made = data_tools.render(prepared, int(row))
        audio = extractors["audio"](made["waveform"])
        # Half precision, and the quantisation of samples to 16 bits in between.
        np.testing.assert_allclose(stored["audio"][place], audio, atol=0.02)
        # Frames are scaled to the side that the extractor wants, as their files were.
        from PIL import Image

        side = extractors["video"].side  # type: ignore[attr-defined]
        frames = np.stack(
            [
                np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.BILINEAR))
                for frame in made["frames"]
            ]
        )
        np.testing.assert_allclose(stored["video"][place], extractors["video"](frames), atol=0.02)
        np.testing.assert_allclose(
            stored["text"][place], extractors["text"](made["caption"]), atol=1e-3
        )
        clip = read_clips(folder)[row]
        events = np.flatnonzero(stored["labels"][place][:, clip.category])
        assert (events[0], events[-1] + 1) == (clip.start, clip.end)
    folder.close()


def test_the_report_tells_what_was_found(prepared: Path) -> None:
    report = json.loads((prepared / "report.json").read_text())
    assert report["items"]["audio train dog"] > 5
    assert report["failures"] == []
    (category,) = report["collections"]
    assert category == "dog"
    assert set(report["collections"]["dog"]) >= {
        "collection_accuracy",
        "ESC-10 -> Animal-Sound-Dataset",
    }


def test_the_same_command_again_does_nothing(
    prepared: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = (prepared / "manifest.json").stat().st_mtime_ns
    assert main([*words, "--out", str(prepared)]) == 0
    assert (prepared / "manifest.json").stat().st_mtime_ns == before
    assert main([*words, "--out", str(prepared), "--seed", "1"]) == 2
    assert "must not hold another preparation" in capsys.readouterr().err


def test_files_are_extracted_once(
    prepared: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data_tools.extraction import local_extraction

    def refuse(*arguments: object) -> None:
        raise AssertionError("nothing must be extracted again")

    monkeypatch.setattr(local_extraction, "run_tasks", refuse)
    option = ["--option", "frequencies=natural", "--option", "near_duplicates=keep"]
    assert main([*words, *option, "--out", str(tmp_path / "out")]) == 0
    assert "no raw material in two of them" in data_tools.verify(tmp_path / "out")[-1]


def test_pretrained_networks(words: list[str], tmp_path: Path) -> None:
    sound = tiny_networks.write_litert(tmp_path / "sound.tflite")
    pictures = tiny_networks.write_onnx_pictures(tmp_path / "pictures.onnx")
    networks = ["--audio", "litert", "--audio-model", str(sound), "--audio-output", "energy"]
    networks += ["--audio-option", "sample_rate=1000", "--audio-reduce", "3"]
    networks += ["--video", "onnx", "--video-model", str(pictures), "--video-output", "map"]
    networks += ["--video-option", "normalization=unit"]
    assert main([*words, *networks, "--out", str(tmp_path / "out")]) == 0
    arrays = data_tools.load(tmp_path / "out", "test", format="numpy")
    assert arrays["audio"].shape == (4, 10, 3)
    assert arrays["video"].shape == (4, 10, 4, 4, 5)
    models = {"audio": {"model": str(sound)}, "video": {"model": str(pictures)}}
    assert open_extractors(tmp_path / "out", models).extractors["audio"].field.shape == (5, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--option", "classes=dog,horse"], "`classes` must be of"),
        (["--audio", "nothing"], "`audio` must be one of"),
        (["--option", "seed=1"], "`--option` must be an option of the data set"),
        (["--audio-option", "segments"], "must be NAME=VALUE"),
    ],
)
def test_mistakes_are_explained(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main([*words, *arguments, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_networks_are_of_composed_data_sets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["prepare", "synthetic", *out, "--audio", "yamnet"]) == 2
    assert "['--audio'] must come with one of ('folders', 'natural')" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"must be given to `data_tools.prepare_composed`"):
        data_tools.prepare("natural", tmp_path / "out")
    with pytest.raises(ValueError, match="must be a composed data set"):
        data_tools.prepare_composed("synthetic", tmp_path / "out")
