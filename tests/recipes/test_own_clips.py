"""From a folder of clips to searches: the commands train, index and search, and Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_cmg
from data_tools.loading.store_folder import StoreFolder
from recipes.console.main import main
from recipes.own_clips import gallery, searching
from recipes.own_clips.networks import choose_extractors
from recipes.own_clips.preparation import layout_of, prepare_clips
from recipes.protocol.clips import Clips
from recipes.runner.settings import Settings
from recipes.training import resumable_training
from recipes.training.resumable_training import train_with_early_stopping
from tests.helpers import media
from tests.helpers.own_clips import write_by_class, write_clip_by_clip

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips by class, and files that cannot be used; only to be read."""
    root = write_by_class(tmp_path_factory.mktemp("own") / "clips")
    (root / "sounds" / "bell" / "empty.wav").touch()
    (root / "sounds" / "bell" / "bell.aiff").write_bytes(b"FORM")
    (root / "pictures" / "bell" / "text.png").write_text("no picture")
    (root / "pictures" / "loose.png").write_bytes(b"")
    (root / "sounds" / "wind").mkdir()
    shutil.copy(root / "sounds" / "rain" / "rain0.wav", root / "sounds" / "wind" / "wind.wav")
    return root


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    """What `keras-cmg train` leaves; only to be read."""
    out = folder.parent / "run"
    words = ["train", "--clips", str(folder), "--extractors", "offline", "--out", str(out)]
    assert main([*words, "--smoke"]) == 0
    return out


def test_training_leaves_everything_that_a_search_needs(run: Path, folder: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"model.keras", "extractors.json", "labels.txt", "index", "README.md"} <= names
    assert {"card.json", "refused.json", "report.html", "result.json"} <= names
    result = json.loads((run / "result.json").read_text())
    assert result["indexed"] == {"audio": 16, "video": 16, "text": 16}
    assert result["extractors"] == {"audio": "log_mel", "video": "patches", "text": "words"}
    measured = result["precision"]["audio->video"]
    assert (measured["queries"], measured["clips"], measured["chance"]) == (4, 16, 0.5)
    card = json.loads((run / "card.json").read_text())
    assert card["data"]["classes"] == ["bell", "rain"]
    assert card["numbers"]["audio->video"]["P@10"] == measured["P@10"]
    assert card["licence"] is None
    assert "Licence\n\nNot stated." in (run / "README.md").read_text()


def test_every_refused_file_is_named_with_the_reason(run: Path) -> None:
    refused = {one["file"]: one["reason"] for one in json.loads((run / "refused.json").read_text())}
    assert refused == {
        "sounds/bell/empty.wav": "is empty",
        "sounds/bell/bell.aiff": "has the extension '.aiff', which is not one of sounds",
        "pictures/bell/text.png": "is named .png but holds something else",
        "pictures/loose.png": "must lie in pictures/CLASS",
        "sounds/wind/wind.wav": "is of the class 'wind', which has no pictures",
    }


def test_raw_files_are_encoded_as_in_training(run: Path, folder: Path) -> None:
    model = keras_cmg.load(run)
    assert model.labels == ("bell", "rain")
    for modality, place in (
        ("audio", "sounds/bell/bell1.wav"),
        ("video", "pictures/rain/rain2.png"),
    ):
        encoded = model.encode(modality, files=[folder / place])
        own = {clip.name: clip for clip in model.index.clips(modality)}[place]
        assert encoded.files == (str(folder / place),)
        assert own.file == str(folder / place)
        # The noise floor of a sound depends on its name, and features are stored in float16.
        hit = model.index.search(encoded, modality, k=1)[0][0]
        assert hit.score > 0.99
        assert hit.name == place or hit.score - own_score(model, encoded, own.name) < 1e-3
    words = model.encode("text", texts=["The bell of day number 3"])
    best = model.index.search(words, "text", k=1)[0][0]
    assert best.text == "The bell of day number 3"
    assert best.score > 0.999


def own_score(model: Any, encoded: Any, name: str) -> float:
    """Score of a clip by name."""
    hits = model.index.search(encoded, encoded.modality, k=16)[0]
    return {hit.name: hit.score for hit in hits}[name]


def test_a_search_prints_names_and_writes_a_page(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query, page = str(folder / "sounds" / "rain" / "rain3.wav"), tmp_path / "found.html"
    words = ["search", "--query", query, "--find", "video", "-k", "3", "--run", str(run)]
    assert main([*words, "--out", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{query} (audio), codes ")
    assert sum("pictures/" in line for line in lines) == 3
    html = page.read_text()
    assert html.count("data:image/png;base64,") == 3
    assert html.count("data:audio/") == 1
    assert main(["search", "--query", "rain", "--run", str(run), "--out", str(page), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["modality"] == "text"
    assert set(answer["hits"]) == {"audio", "video"}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("no-such-bark.ogg", "There is no no-such-bark.ogg"),
        ("sounds/bell/empty.wav", "is empty"),
        ("pictures/bell/text.png", "is named .png but holds something else"),
        ("sounds/bell/bell.aiff", "must be a file of .avi"),
    ],
)
def test_a_query_that_cannot_be_read_is_named_and_leaves_no_page(
    run: Path,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    query: str,
    reason: str,
) -> None:
    path = folder / query if "/" in query else Path(query)
    page = tmp_path / "page.html"
    words = ["search", "--query", str(path), "--run", str(run), "--out", str(page)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert path.name in error
    assert not page.exists()


def test_another_folder_is_indexed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_clip_by_clip(tmp_path / "other", 3)
    (other / "broken.png").write_text("no picture")
    out = tmp_path / "index"
    assert main(["index", "--clips", str(other), "--run", str(run), "--out", str(out)]) == 0
    assert "refused broken.png: " in capsys.readouterr().out
    index = keras_cmg.search.ClipIndex.load(out)
    assert [clip.name for clip in index.clips("audio")] == [f"clip{n:02d}.wav" for n in range(3)]
    answer = searching.search(keras_cmg.load(run), index, str(other / "clip01.wav"), "video", k=2)
    assert len(answer.hits["video"]) == 2
    bare = shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("index"))
    words = ["search", "--query", "rain", "--run", str(bare), "--out", str(tmp_path / "p.html")]
    assert main(words) == 2
    assert f"{bare} has no index of clips; `keras-cmg index" in capsys.readouterr().err
    assert main([*words, "--index", str(out)]) == 0


def test_a_folder_of_something_else_is_refused_before_clips_are_read(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.txt").touch()
    monkeypatch.setattr("recipes.console.index.index_of_folder", None)
    words = ["index", "--clips", str(tmp_path), "--run", str(run), "--out", str(tmp_path)]
    assert main(words) == 2
    assert f"--out must be new or hold an index. {tmp_path} is" in capsys.readouterr().err


def test_an_index_of_no_usable_file_is_not_written(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.wav").touch()
    out = tmp_path / "index"
    words = ["index", "--clips", str(tmp_path / "bad"), "--run", str(run), "--out", str(out)]
    assert main(words) == 2
    assert not out.exists()


def test_clips_without_classes_become_a_store(tmp_path: Path) -> None:
    source = write_clip_by_clip(tmp_path / "clips")
    (source / "clip16.wav").touch()
    prepared = prepare_clips(
        str(source), tmp_path / "features", tmp_path / "cache", extractors="offline"
    )
    assert prepared.clips == Clips("store", tmp_path / "features")
    assert [one["file"] for one in prepared.refused] == ["clip16.wav", "clip16"]
    assert [one.modality for one in prepared.entries] == ["audio", "video"]
    assert prepared.entries[0].files[3] == str(source / "clip03.wav")
    assert {"train", "test"} <= set(prepared.entries[0].splits)
    out = str(tmp_path / "run")
    words = ["train", "--data", "store", "--features", str(tmp_path / "features"), "--out", out]
    assert main([*words, "--epochs", "1"]) == 0
    measured = json.loads(Path(out, "result.json").read_text())["precision"]["audio->video"]
    count = len(StoreFolder(tmp_path / "features").order("test"))
    assert measured["chance"] == min(1.0, 10 / count)
    assert 0 <= measured["R@1"] <= measured["R@10"] <= 1


@pytest.mark.parametrize(
    ("source", "error"),
    [("nowhere", FileNotFoundError), ("one", ValueError), ("empty", ValueError)],
)
def test_folders_without_pairs_are_refused(
    tmp_path: Path, source: str, error: type[Exception]
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(write_clip_by_clip(tmp_path / "both", 2), tmp_path / "one")
    for path in (tmp_path / "one").glob("*.png"):
        path.unlink()
    with pytest.raises(error, match="--clips must"):
        prepare_clips(str(tmp_path / source), tmp_path / "features", tmp_path / "cache")
    assert not (tmp_path / "features").exists()


def test_layouts(tmp_path: Path, folder: Path) -> None:
    assert layout_of(str(folder)) == "folders"
    (tmp_path / "clips.csv").write_text("id,audio\na,a.wav\n")
    assert layout_of(str(tmp_path / "clips.csv")) == "store"


def test_networks_are_used_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_CMG_CACHE", str(tmp_path))
    assert choose_extractors(None).extractors["audio"]["name"] == "log_mel"
    with pytest.raises(FileNotFoundError, match=r"yamnet\.tflite or efficientnet_lite0\.onnx"):
        choose_extractors(str(tmp_path))
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yamnet.tflite").touch()
    chosen = choose_extractors(None, counts={"audio": 50})
    model = str(tmp_path / "models" / "yamnet.tflite")
    assert chosen.extractors["audio"]["options"] == {"model": model, "reduce": 32}
    assert chosen.extractors["video"]["name"] == "patches"
    assert chosen.paths == {"audio": {"model": model}}


def test_an_interrupted_training_ends_as_an_undisturbed_one(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = Clips("folders", run / "features")
    settings = Settings(
        model="fcid", preset="plus", set={}, epochs=3, patience=3, batch_size=8,
        learning_rate=4e-4, schedule="cosine",
    )  # fmt: skip
    whole = train_with_early_stopping(settings, clips, 0, tmp_path / "whole")

    def stop(backbone: Any, clips: Any) -> float:
        raise KeyboardInterrupt

    scores = iter([resumable_training.within_modality, stop])
    with monkeypatch.context() as patch:
        patch.setattr(resumable_training, "within_modality", lambda *given: next(scores)(*given))
        with pytest.raises(KeyboardInterrupt):
            train_with_early_stopping(settings, clips, 0, tmp_path / "stopped")
    again = train_with_early_stopping(settings, clips, 0, tmp_path / "stopped")
    assert again.history == whole.history
    assert again.about["scores"] == whole.about["scores"]
    for ours, theirs in zip(again.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    finished = train_with_early_stopping(settings, clips, 0, tmp_path / "stopped")
    assert finished.about["train_seconds"] == again.about["train_seconds"]


def test_training_stops_without_progress(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.9, 0.8, 0.7])
    monkeypatch.setattr(resumable_training, "within_modality", lambda *given: next(scores))
    settings = Settings(
        model="cmcm", preset="small", set={}, epochs=9, patience=2, batch_size=20,
        learning_rate=4e-4, schedule="constant",
    )  # fmt: skip
    found = train_with_early_stopping(
        settings, Clips("folders", run / "features"), 0, tmp_path
    ).about
    assert (found["epoch"], found["epochs_trained"]) == (2, 4)
    assert found["criterion"] == resumable_training.PROBES


def test_a_page_links_large_files_and_escapes_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "MAX_EMBEDDED", 3)
    (tmp_path / "a.png").write_bytes(b"1234")
    hit = keras_cmg.search.Hit("<b>", "video", 0.5, "dog", (1,), str(tmp_path / "a.png"), (1,))
    answer = searching.Answer("words & more", "text", (1,), {"video": [hit]})
    gallery.write_gallery(answer, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert (tmp_path / "a.png").as_uri() in page
    assert "&lt;b&gt;" in page
    assert "words &amp; more" in page
    assert "code 1; the query has code 1 too" in page


def test_an_index_of_videos_has_their_sound(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    media.write_video(clips / "a loud.mp4", media.pictures(8), 8, media.tone(1.0))
    media.write_video(clips / "mute.mp4", media.pictures(8), 8)
    (clips / "broken.mp4").write_bytes(b"no video")
    (clips / "a.txt").write_bytes("böse".encode("latin-1"))
    (clips / "notes.doc").touch()
    out = tmp_path / "index"
    words = ["index", "--clips", str(clips), "--run", str(run), "--out", str(out)]
    assert main(words) == 0
    index = keras_cmg.search.ClipIndex.load(out)
    assert [clip.name for clip in index.clips("audio")] == ["a loud.mp4"]
    assert [clip.name for clip in index.clips("video")] == ["a loud.mp4", "mute.mp4"]
    refused = [line for line in capsys.readouterr().out.splitlines() if "refused" in line]
    assert [line.split(": ")[0] for line in refused] == [
        "  refused a.txt",
        "  refused notes",
        "  refused broken.mp4",
    ]


def test_an_index_by_class_names_files_of_no_use(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["index", "--clips", str(folder), "--run", str(run), "--out", str(tmp_path / "i")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "refused sounds/bell/bell.aiff: has the extension '.aiff'" in printed
    assert "refused pictures/loose.png: must lie in pictures/CLASS" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--find", "vidio"], "--find must be one of audio, video, text. Received: vidio"),
        (["--as", "sound"], "--as must be one of audio, video, text. Received: sound"),
        (["--out", "."], "--out must be a file. Received the folder: ."),
        (["--index", "."], "--index must be a folder that `keras-cmg index`"),
        (["--query", " "], "--query must be a file or words. Received: ' '"),
    ],
    ids=str,
)
def test_wrong_options_of_a_search_are_named_before_the_query_is_encoded(
    run: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searching, "search", None)
    assert main(["search", "--query", "rain", "--run", str(run), *words]) == 2
    assert f"error: {message}" in capsys.readouterr().err


def test_one_folder_takes_clips_of_either_layout(folder: Path, tmp_path: Path) -> None:
    other = write_clip_by_clip(tmp_path / "clips", 4)
    by_class = {"num_clips": {"train": 4, "val": 2, "test": 2}, "extractors": "offline"}
    places = (tmp_path / "features", tmp_path / "cache")
    for _ in range(2):
        assert prepare_clips(str(folder), *places, **by_class).clips.data == "folders"
        assert prepare_clips(str(other), *places, extractors="offline").clips.data == "store"


def test_a_damaged_video_is_refused_once(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for name in ("a", "b"):
        media.write_video(clips / f"{name}.mp4", media.pictures(8), 8, media.tone(1.0))
    (clips / "c.mp4").write_bytes(b"no video")
    found = prepare_clips(str(clips), tmp_path / "f", tmp_path / "c", extractors="offline")
    assert [one["file"] for one in found.refused] == ["c.mp4"]


@pytest.mark.parametrize("source", ["", "notes.doc"])
def test_a_source_that_is_no_folder_is_named_by_its_option(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.doc").touch()
    with pytest.raises((FileNotFoundError, ValueError), match="--clips must be a folder or a"):
        layout_of(source)


def test_a_wrong_argument_of_the_model_is_named_and_leaves_nothing(
    run: Path, tmp_path: Path
) -> None:
    settings = Settings(
        model="fcid", preset="plus", set={"bckbone": 1}, epochs=1, patience=1, batch_size=8,
        learning_rate=4e-4, schedule="constant",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"--set must hold arguments of fcid\. Received: bckbone"):
        train_with_early_stopping(settings, Clips("folders", run / "features"), 0, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_splits_of_a_manifest_are_those_of_training(tmp_path: Path) -> None:
    write_clip_by_clip(tmp_path / "clips", 2)
    manifest = tmp_path / "clips" / "clips.csv"
    lines = [f"{number},clip0{number}.wav,clip0{number}.png,dev" for number in range(2)]
    manifest.write_text("\n".join(["id,audio,video,split", *lines]) + "\n")
    with pytest.raises(ValueError, match="--clips must have splits of train, val, test, or none"):
        prepare_clips(str(manifest), tmp_path / "f", tmp_path / "c", extractors="offline")
