"""Feature folders of composed data sets: gathered features are those of the composed signals."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import data_tools
from data_tools.__main__ import main
from data_tools.extraction import open_extractors
from data_tools.io.feature_folder import FeatureFolder
from data_tools.raw.base import Clip
from data_tools.raw.composed import Natural
from data_tools.raw.rendering import read_clips
from keras_cmg.export import load_reductions
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


def test_origins_of_clips(prepared: Path, root: Path) -> None:
    folder = FeatureFolder(prepared)
    origins, clips = data_tools.read_clip_origins(folder), read_clips(folder)
    assert len(origins) == len(clips) == 20
    items = {(item.modality, item.name): item for item in Natural(str(root)).items()}
    heard = set()
    for origin, clip in zip(origins, clips, strict=True):
        event = {
            modality: dict.fromkeys(
                items[modality, name]
                for segment, name in enumerate(names)
                if modality == "text" or clip.start <= segment < clip.end
            )
            for modality, names in clip.sources.items()
        }
        for modality, used in event.items():
            assert origin.groups[modality] == tuple(item.group for item in used)
            assert set(origin.collections[modality]) == {item.collection for item in used}
        assert all(group.startswith("freesound:30") for group in origin.background["audio"])
        assert bool(origin.background["video"]) == (clip.end - clip.start < 10)
        heard |= {(folder.categories[clip.category], *origin.collections["audio"])}
    assert heard == {("dog", "ESC-10"), ("dog", "Animal-Sound-Dataset"), ("sea", "ESC-10")}
    groups = [
        {group for row in folder.order(split) for group in origins[row].groups["audio"]}
        for split in ("train", "test")
    ]
    assert not groups[0] & groups[1]


def test_origins_of_digits_are_their_files(tmp_path: Path) -> None:
    sources = {"recordings": ["3_a_0", "3_b_0", "3_a_0"], "images": ["train:1"] * 3}
    clip = Clip("train-0", "train", 3, 2, 5, "a three", 0, sources)
    (tmp_path / "clips.jsonl").write_text(json.dumps(dataclasses.asdict(clip)))
    (origin,) = data_tools.read_clip_origins(FeatureFolder(tmp_path))
    assert origin.groups == {"audio": ("3_a_0", "3_b_0"), "video": ("train:1",)}
    assert origin.collections["audio"] == ("",)


def test_files_without_an_origin_are_named(prepared: Path, tmp_path: Path) -> None:
    for name in ("clips.jsonl", "items.jsonl"):
        (tmp_path / name).write_bytes((prepared / name).read_bytes())
    lines = (tmp_path / "items.jsonl").read_text().splitlines()
    (tmp_path / "items.jsonl").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(ValueError, match="must list the files of all clips"):
        data_tools.read_clip_origins(FeatureFolder(tmp_path))


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


def test_tests_from_another_folder(
    words: list[str], root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_collections(tmp_path / "other", recordings=3, pictures=6, first=500)
    leaked = "ESC-10/001 - Dog bark/1-1000-A.ogg"
    shutil.copyfile(root / leaked, other / leaked)
    out = tmp_path / "out"
    assert main([*words, "--option", f"test_root={other}", "--out", str(out)]) == 0
    assert "1 files of the test folder left out" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    (left_out,) = report["left_out_of_test_root"]
    assert left_out["file"] == f"test_root/{leaked}"
    assert "is of group freesound:1000" in left_out["reason"]
    assert "no raw material in two of them" in data_tools.verify(out)[-1]
    folder = FeatureFolder(out)
    origins = data_tools.read_clip_origins(folder)
    assert {group for row in folder.order("test") for group in origins[row].groups["audio"]} <= {
        *(
            f"freesound:{number + 500}"
            for place in (1000, 2000)
            for number in range(place, place + 3)
        ),
        *(f"Animal-Sound-Dataset:dog_{number}" for number in range(500, 503)),
    }
    assert data_tools.render(out, int(folder.order("test")[0]))["waveform"].shape == (160_000,)
    folder.close()


def test_pretrained_networks(words: list[str], root: Path, tmp_path: Path) -> None:
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
    features = open_extractors(tmp_path / "out", models)
    assert features.extractors["audio"].field.shape == (10, 3)
    # An exported model may take the features of the network and reduce them itself.
    unreduced = open_extractors(tmp_path / "out", models, reduced=False)
    clip = {"id": "a", "audio": str(root / "Animal-Sound-Dataset/Kopek-Part1/dog_1.wav")}
    clip |= {"video": str(root / "CIFAR-10-images/train/dog/0000.jpg"), "caption": "a dog barks"}
    before, after = unreduced(clip), features(clip)
    assert before["audio"].shape == (10, 4)
    reduction = load_reductions(tmp_path / "out")["audio"]
    reduced = keras.ops.convert_to_numpy(reduction(before["audio"]))
    np.testing.assert_allclose(reduced, after["audio"], atol=1e-5)
    np.testing.assert_array_equal(before["video"], after["video"])


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
    error = capsys.readouterr().err
    assert "--audio must come with folders or natural. Received: synthetic" in error
    with pytest.raises(ValueError, match=r"must be given to `data_tools.prepare_composed`"):
        data_tools.prepare("natural", tmp_path / "out")
    with pytest.raises(ValueError, match="must be a composed data set"):
        data_tools.prepare_composed("synthetic", tmp_path / "out")
