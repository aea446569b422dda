"""Extraction end to end: good clips arrive, bad ones are named, the bytes do not depend on how."""

from __future__ import annotations

import filecmp
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.extraction import extract
from data_tools.extraction.lock import locked
from data_tools.store import Store
from tests.helpers import faults, media

EXTRACTORS: dict[str, dict[str, Any]] = {
    "audio": {"name": "log_mel", "options": {"segments": 2}},
    "video": {"name": "patches", "options": {"segments": 2, "channels": 8}},
    "text": {"name": "words", "options": {"dim": 16}},
}
MISBEHAVING = {"text": {"name": "tests.helpers.extractors:Misbehaving", "options": {}}}


def same_folders(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""
    names = [sorted(p.relative_to(root) for p in root.rglob("*")) for root in (one, other)]
    files = [name for name in names[0] if (one / name).is_file()]
    return names[0] == names[1] and not filecmp.cmpfiles(one, other, files, shallow=False)[1]


def failures(out: Path) -> list[dict[str, str]]:
    """Lines of failures.jsonl."""
    return [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight good clips; only to be read."""
    root = tmp_path_factory.mktemp("clips")
    media.write_clips(root, 8)
    return root


@pytest.fixture(scope="module")
def extracted(clips: Path) -> Path:
    """Their store; only to be read."""
    out = clips.parent / "extracted"
    extract(clips, out, EXTRACTORS, segments=2, shard_rows=3)
    return out


def test_rows_are_the_features_of_the_clips(clips: Path, extracted: Path) -> None:
    store = Store(extracted)
    assert {name: field.shape for name, field in store.fields.items()} == {
        "audio": (2, 128),
        "video": (2, 7, 7, 8),
        "text": (10, 16),
    }
    assert [clip["id"] for clip in store.clips()] == [f"clip{n:04d}" for n in range(8)]
    assert store.check() == 8
    audio = store.read("audio", np.arange(8)).astype(np.float64)
    assert np.abs(audio.mean((0, 1))).max() < 0.5, "standardised on these very clips"
    assert len(np.unique(audio.round(2), axis=0)) == 8
    store.close()


def test_bytes_do_not_depend_on_the_workers(clips: Path, extracted: Path, tmp_path: Path) -> None:
    extract(clips, tmp_path / "out", EXTRACTORS, segments=2, shard_rows=3, workers=3)
    assert same_folders(extracted, tmp_path / "out")


def test_what_was_learned_serves_other_clips(clips: Path, extracted: Path, tmp_path: Path) -> None:
    extract(clips, tmp_path / "out", EXTRACTORS, segments=2, fitted=extracted)
    stores = [Store(extracted), Store(tmp_path / "out")]
    for name in stores[0].fields:
        one, other = (store.read(name, np.arange(8)) for store in stores)
        np.testing.assert_array_equal(one, other)


def test_running_again_changes_nothing(clips: Path, extracted: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in extracted.rglob("*") if path.is_file()}
    result = extract(clips, extracted, EXTRACTORS, segments=2, shard_rows=3)
    assert result == {"rows": 8, "failed": 0}
    after = {path: path.stat().st_mtime_ns for path in extracted.rglob("*") if path.is_file()}
    assert before == after


def test_other_arguments_are_refused(clips: Path, extracted: Path) -> None:
    with pytest.raises(ValueError, match=r"differs in \['shard_rows'\]"):
        extract(clips, extracted, EXTRACTORS, segments=2, shard_rows=4)


def test_a_folder_of_something_else_is_left_alone(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be a new folder or an extraction"):
        extract(clips, tmp_path, EXTRACTORS)


def check_faults(root: Path, num_good: int, spoiled: int) -> None:
    names = media.write_clips(root / "clips", num_good + spoiled)
    stride = len(names) // spoiled
    expected = faults.plant(root / "clips", names[::stride][:spoiled])
    result = extract(root / "clips", root / "out", EXTRACTORS, 2, shard_rows=50, workers=2)
    found = failures(root / "out")
    assert {line["id"]: line["modality"] for line in found} == {
        name: modality for name, (modality, _) in expected.items()
    }
    for line in found:
        assert re.search(expected[line["id"]][1], line["reason"]), line
        assert str(root) not in line["reason"]
    store = Store(root / "out")
    assert [clip["id"] for clip in store.clips()] == [n for n in names if n not in expected]
    assert result == {"rows": num_good, "failed": spoiled}
    assert store.check() == num_good
    store.close()


def test_every_planted_fault_is_named_and_all_others_arrive(tmp_path: Path) -> None:
    check_faults(tmp_path, num_good=26, spoiled=len(faults.FAULTS))


@pytest.mark.slow
def test_a_thousand_clips_with_faults(tmp_path: Path) -> None:
    check_faults(tmp_path, num_good=800, spoiled=200)


def write_captions(root: Path, captions: list[str]) -> Path:
    """A manifest of captions alone."""
    lines = [f"{number},{caption}\n" for number, caption in enumerate(captions)]
    (root / "clips.csv").write_text("id,caption\n" + "".join(lines))
    return root / "clips.csv"


def test_a_worker_that_dies_costs_one_clip(tmp_path: Path) -> None:
    captions = ["one", "crash", "two", "hang", "raise", "infinite", "shape", "large", "print"]
    source = write_captions(tmp_path, captions)
    result = extract(source, tmp_path / "out", MISBEHAVING, timeout=2.0)
    assert result == {"rows": 3, "failed": 6}
    reasons = {captions[int(line["id"])]: line["reason"] for line in failures(tmp_path / "out")}
    assert reasons == {
        "crash": "ended its process: signal 11 (SIGSEGV)",
        "hang": "took longer than 2 s",
        "raise": "RuntimeError: the extractor gave up",
        "infinite": reasons["infinite"],
        "shape": "`text` must have shape (4, 8). Received: (3,)",
        "large": reasons["large"],
    }
    for caption in ("infinite", "large"):
        assert "`text` must hold finite numbers in float16" in reasons[caption]


def test_an_extractor_that_cannot_be_made_stops_the_job(tmp_path: Path) -> None:
    source = write_captions(tmp_path, ["one"])
    for name, message in {
        "nothing": "must be one of",
        "tests.helpers.media:tone": "must name a subclass",
        "tests.helpers.nowhere:Words": "must name a class",
    }.items():
        with pytest.raises(ValueError, match=message):
            extract(source, tmp_path / "out", {"text": {"name": name, "options": {}}})
    assert not (tmp_path / "out").exists()


def test_labels_cover_the_event(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text(
        "id,caption,label,split,start,end\n"
        "a,a dog,dog,train,2,4\nb,a cat,cat,test,,\nc,a cow,,train,,\na,again,dog,train,,\n"
    )
    words = {"text": {"name": "words", "options": {}}}
    extract(tmp_path / "clips.csv", tmp_path / "out", words, segments=6)
    store = Store(tmp_path / "out")
    assert store.categories == ["cat", "dog"]
    labels = store.read("labels", [0, 1]).argmax(-1)
    assert labels.tolist() == [[2, 2, 1, 1, 2, 2], [0] * 6]
    assert store.rows_of_split("test").tolist() == [1]
    assert [(line["id"], line["reason"]) for line in failures(tmp_path / "out")] == [
        ("c", "has no label"),
        ("a", "has the id of an earlier clip"),
    ]
    store.close()
    # Later clips get the columns of the first ones, whichever classes they have.
    (tmp_path / "later.csv").write_text("id,caption,label\na,a dog,dog\nb,a cow,cow\n")
    later = tmp_path / "later"
    extract(tmp_path / "later.csv", later, words, segments=2, fitted=tmp_path / "out")
    store = Store(later)
    assert store.read("labels", [0]).argmax(-1).tolist() == [[1, 1]]
    assert failures(later)[0]["reason"] == "has the label 'cow', which is not known"
    store.close()
    media.write_sound(tmp_path / "clips/a.wav")
    sound = {"audio": {"name": "log_mel", "options": {}}}
    with pytest.raises(ValueError, match=r"has no extractors\.npz"):
        extract(tmp_path / "clips", tmp_path / "x", sound, fitted=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="`fitted` must be a finished extraction"):
        extract(tmp_path / "clips", tmp_path / "x", sound, fitted=tmp_path / "nowhere")


def test_two_jobs_do_not_share_a_folder(tmp_path: Path) -> None:
    source = write_captions(tmp_path, ["one"])
    words = {"text": {"name": "words", "options": {}}}
    with locked(tmp_path / "out"), pytest.raises(ValueError, match="another process"):
        extract(source, tmp_path / "out", words)
    assert not (tmp_path / "out").exists()
    extract(source, tmp_path / "out", words)
    assert not (tmp_path / "out/.lock").exists()


def test_overwriting(tmp_path: Path) -> None:
    source = write_captions(tmp_path, ["one"])
    words = {"text": {"name": "words", "options": {}}}
    extract(source, tmp_path / "out", words)
    (tmp_path / "out/.schema.json.1.part").mkdir()  # left by a kill
    write_captions(tmp_path, ["one", "two"])
    with pytest.raises(ValueError, match="another extraction"):
        extract(source, tmp_path / "out", words)
    assert extract(source, tmp_path / "out", words, overwrite=True)["rows"] == 2
    extract(source, tmp_path / "fresh", words)
    assert same_folders(tmp_path / "out", tmp_path / "fresh")
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ValueError, match="must be a new folder"):
        extract(source, tmp_path, words, overwrite=True)


def test_videos_that_a_manifest_lists_but_are_not_there_fail_alone(tmp_path: Path) -> None:
    media.write_video(tmp_path / "a.mp4", media.pictures(8), 8, media.tone(1.0))
    (tmp_path / "clips.csv").write_text("id,video\na,a.mp4\nb,b.mp4\n")
    sound = {"audio": {"name": "log_mel", "options": {"segments": 1}}}
    assert extract(tmp_path / "clips.csv", tmp_path / "out", sound, segments=1) == {
        "rows": 1,
        "failed": 1,
    }
    (failure,) = failures(tmp_path / "out")
    assert (failure["file"], failure["reason"]) == ("b.mp4", "does not exist")
