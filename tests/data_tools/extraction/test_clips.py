"""Which clips a folder or a manifest holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_tools.extraction.clips import find_clips, read_manifest


def touch(root: Path, *names: str) -> None:
    """Empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_folder(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *("b.wav", "b.mp4", "b.txt", "dog/a.mp3", ".hidden.wav", "b.json", "note.pdf"),
        *("frames/c/2.png", "frames/c/10.png", "audio/c.ogg", "d/1.jpg", "d/2.jpg", "still.png"),
        *("e.wav", "e.flac", "video/f/x.mp4", "video/pic1.jpg", "video/pic2.jpg"),
    )
    lines = [{"id": "dog/a", "caption": "a dog"}, {"id": "new", "caption": "only words"}]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    root, found = find_clips(tmp_path)
    clips = {clip.pop("id"): clip for clip in found}
    assert root == tmp_path
    assert clips == {
        "b": {"audio": "b.wav", "video": "b.mp4", "text": "b.txt"},
        "dog/a": {"audio": "dog/a.mp3", "caption": "a dog"},
        "c": {"audio": "audio/c.ogg", "video": "frames/c"},
        "d": {"video": "d"},
        "e": {"audio": "e.flac", "fault": "has two files of audio: e.flac, e.wav"},
        "f/x": {"video": "video/f/x.mp4"},
        "new": {"caption": "only words"},
        "note": {"fault": "has the extension '.pdf', which is not known: note.pdf"},
        "pic1": {"video": "video/pic1.jpg"},
        "pic2": {"video": "video/pic2.jpg"},
        "still": {"video": "still.png"},
    }
    assert list(clips) == sorted(clips)


def test_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text(
        '\ufeffid,audio,caption,start,other\na,x.wav,"a dog, barking",1.5,?\n'
        ",y.wav,,,\na,z.wav,,,\n"
    )
    _, clips = find_clips(tmp_path / "clips.csv")
    assert list(clips) == [
        {"id": "a", "audio": "x.wav", "caption": "a dog, barking", "start": 1.5},
        {"id": "line 3", "audio": "y.wav", "fault": "has no id"},
        {"id": "a", "audio": "z.wav", "fault": "has the id of an earlier clip"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("clips.csv", b"name,audio\n", "must have a column 'id'"),
        ("clips.csv", b"id,label\n", "must have a column 'id' and one of"),
        ("clips.csv", b"id,caption\na,caf\xe9\n", "must be a CSV file in UTF-8"),
        ("clips.tsv", b"", "must be a folder or a .csv manifest"),
    ],
)
def test_manifests_that_are_none(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(find_clips(tmp_path / name)[1])


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must exist"):
        find_clips(tmp_path / "clips.csv")


def test_damaged_captions(tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(ValueError, match="an id and a caption per line"):
        list(find_clips(tmp_path)[1])


def test_times_of_an_event_are_finite_and_in_order(tmp_path: Path) -> None:
    times = ["1,2", "nan,", ",inf", "-1,3", "5,2", "2,2", ","]
    lines = [f"{number},a.wav,{both}" for number, both in enumerate(times)]
    (tmp_path / "clips.csv").write_text("\n".join(["id,audio,start,end", *lines]) + "\n")
    found = [clip.get("fault") for clip in read_manifest(tmp_path / "clips.csv")]
    assert found == [
        None,
        "start must be a number of seconds. Received: 'nan'",
        "end must be a number of seconds. Received: 'inf'",
        "start must be a number of seconds. Received: '-1'",
        "end must be after start, 5. Received: 2",
        "end must be after start, 2. Received: 2",
        None,
    ]
