"""Errors that libraries raise on damaged files arrive as ValueErrors that name the file."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_tools
import keras_cmg
from data_tools.extraction import extract
from data_tools.extraction.clip_features import ClipFeatures
from data_tools.extraction.clips import find_clips
from data_tools.extraction.description import FORMAT, describe_extractors
from data_tools.extraction.pretrained import settings_of
from data_tools.extraction.raw_features import RawFeatures
from data_tools.extraction.serving import recorded_extractors
from data_tools.features import vggish_weights
from data_tools.io.feature_folder import FeatureFolder
from data_tools.io.tables import read_table
from data_tools.published.annotations import read_records
from data_tools.raw.digits_sources import read_idx
from data_tools.raw.extractors import Extractors
from data_tools.raw.preparation import is_prepared
from data_tools.raw.rendering import read_clips
from data_tools.store import Field, Store, StoreWriter
from data_tools.store.schema import read_failures
from keras_cmg.export.metadata import read_metadata
from keras_cmg.export.runs import load_log_mel_summary


def message(read: Any, path: Path) -> str:
    with pytest.raises(ValueError, match=path.name.replace(".", r"\.")) as caught:
        read(path)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def test_a_header_beyond_the_limit_of_a_field(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("video_id,category," + "x" * 200_000 + "\na,b,c\n")
    assert "field larger" in message(lambda p: read_table(p, ["video_id"]), path)
    path.write_text("id,audio," + "x" * 200_000 + "\na,b,c\n")
    assert "field larger" in message(lambda p: list(find_clips(p)[1]), path)


def test_json_nested_without_end(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text("[" * 100_000)
    assert "RecursionError" in message(lambda p: read_records(p, ["a"]), path)
    path = tmp_path / "captions.jsonl"
    path.write_text("[" * 100_000)
    assert "RecursionError" in message(lambda p: list(find_clips(p.parent)[1]), path)


@pytest.mark.parametrize("entry", [{}, {"files": None}, {"files": {"a": 1}}, {"files": ["a"]}])
def test_a_manifest_that_lists_no_files(tmp_path: Path, entry: dict[str, Any]) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format": 1, **entry}))
    for read in (lambda p: data_tools.verify(p.parent), lambda p: is_prepared(p.parent, {})):
        assert "list" in message(read, path)


def test_a_manifest_of_another_preparation_is_quoted_shortly(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {}, "seed": "x" * 6000}))
    with pytest.raises(ValueError, match="made with seed = xxx") as caught:
        is_prepared(tmp_path, {"seed": 1})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("line", ["[", "7", "{}", '{"modality": "audio", "name": ["a"]}'])
def test_origins_of_clips_that_are_no_names(prepared: Path, tmp_path: Path, line: str) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "copy"))
    (folder / "items.jsonl").write_text(line + "\n")
    message(lambda p: data_tools.read_clip_origins(FeatureFolder(p.parent)), folder / "items.jsonl")


def test_a_manifest_that_lists_files_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    for name in ("../a", "/a", "a" * 6000, "\u2028" * 250, "\u00e9" * 200, "a\0", "\ud800"):
        path.write_text(json.dumps({"files": {name: "0" * 64}}))
        assert "of its folder" in message(lambda p: data_tools.verify(p.parent), path)


@pytest.mark.parametrize("sources", [[], {"audio": "a"}, {"audio": [1]}])
def test_clips_of_other_types(prepared: Path, tmp_path: Path, sources: Any) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "copy"))
    path = folder / "clips.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    path.write_text(json.dumps({**line, "sources": sources}) + "\n")
    assert "line 1, must hold" in message(lambda p: read_clips(FeatureFolder(p.parent)), path)
    message(lambda p: data_tools.read_clip_origins(FeatureFolder(p.parent)), path)


SPEC = {"name": "words", "options": {}, "sources": {}}
IDENTITY: Any = {"extractors": {"text": SPEC}, "segments": 10}


@pytest.mark.parametrize(
    "content",
    [
        *(7, [], {"text": 7}, {"text": {"extraction": IDENTITY}}),
        {"text": {"extraction": IDENTITY, "state": 7}},
        *(
            {"text": {"extraction": extraction, "state": None}}
            for extraction in (
                *(None, {}, {"extractors": []}, {"extractors": {"text": {"name": "words"}}}),
                {"extractors": {"text": {**SPEC, "options": ["segments"]}}},
                {"extractors": {"text": {**SPEC, "sources": {"model": 7}}}},
                {"extractors": {"audio": SPEC}},
                {"extractors": {"text": {**SPEC, "options": {"dim": 10**400}}}},
            )
        ),
    ],
)
def test_recorded_extractors_of_other_types(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "extraction.json"
    path.write_text(json.dumps(content))
    message(lambda p: recorded_extractors(p.parent), path)


def test_a_recorded_extractor_of_unknown_features(prepared: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "copy"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["options"] = {"bandwidth": 8000, "side": 56}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    name = "x" * 9000
    kept = {name: {"extraction": {"extractors": {name: SPEC}}, "state": None}}
    (folder / "extraction.json").write_text(json.dumps(kept))
    assert "Received: xxx" in message(lambda p: describe_extractors(p), folder)


def test_a_job_of_other_types(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.txt").write_text("a dog barks")
    extractors = {"text": {"name": "words", "options": {"dim": 8}}}
    path = tmp_path / "out" / "job.json"
    path.parent.mkdir()
    for content in (b"{}", b"[", b"\xff", b'{"identity": [], "versions": {}}', b'{"a":' * 3000):
        path.write_bytes(content)
        message(lambda p: extract(tmp_path / "clips", p.parent, extractors), path)


@pytest.mark.parametrize("origin", [{"extraction": "a"}, {"extraction": {}, "versions": [1]}])
def test_an_origin_of_other_types(tmp_path: Path, origin: dict[str, Any]) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.txt").write_text("a dog barks")
    with StoreWriter(tmp_path / "out", {"text": Field((3,))}, origin=origin) as writer:
        writer.append("a", {"text": np.zeros(3)})
    extractors = {"text": {"name": "words", "options": {"dim": 8}}}
    message(
        lambda p: extract(tmp_path / "clips", p.parent, extractors), tmp_path / "out/schema.json"
    )


@pytest.mark.parametrize("line", ["[", "7", "{}", '{"id": 1}', '{"id": "a", "reason": "b"}'])
def test_failures_of_other_types(tmp_path: Path, line: str) -> None:
    (tmp_path / "failures.jsonl").write_text(line + "\n")
    message(lambda p: read_failures(p.parent), tmp_path / "failures.jsonl")


def test_settings_beside_a_model_are_quoted_shortly(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    for content in ({"x" * 9000: 1}, {"hop": 1e999}, {"hop": 10**400}, ["hop"]):
        path.write_text(json.dumps(content))
        message(lambda p: settings_of(str(tmp_path / "m.onnx"), {}, {"hop": None}), path)


def test_values_of_files_are_quoted_shortly(tmp_path: Path) -> None:
    long = "x" * 5000
    schema, index = tmp_path / "schema.json", tmp_path / "index.json"
    schema.write_text(json.dumps({"format": long}))
    assert "Received: 'xxx" in message(lambda p: Store(p.parent), schema)
    index.write_text(json.dumps({"format": long}))
    assert "Received: 'xxx" in message(lambda p: keras_cmg.search.CodeIndex.load(p.parent), index)
    clips = tmp_path / "clips.json"
    clips.write_text(json.dumps({"format": long}))
    assert "Received: 'xxx" in message(lambda p: keras_cmg.search.ClipIndex.load(p.parent), clips)
    about = {"format": "keras_cmg.clips/2", "sha256": "0" * 64, "num_embeddings": 4}
    clips.write_text(json.dumps({**about, "storage": "float32", "modalities": [long]}))
    assert "name modalities" in message(lambda p: keras_cmg.search.ClipIndex.load(p.parent), clips)
    learned = tmp_path / "extractors.npz"
    exported = tmp_path / "metadata.json"
    exported.write_text(json.dumps({"format": long}))
    assert "Received: 'xxx" in message(lambda p: read_metadata(p.parent), exported)
    std = np.where(np.arange(128) == 5, np.inf, 1.0)
    np.savez(learned, audio_mean=np.zeros(128), audio_std=std, sample_rate=8000)
    assert "127 of them finite" in message(lambda p: load_log_mel_summary(p.parent), learned)


def test_names_of_a_store_are_quoted_shortly(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "a", {"audio": Field((10, 3))}) as writer:
        writer.append("c", {"audio": np.zeros((10, 3))}, split="x" * 9000)
    for read in (
        lambda p: Store(p).rows_of_split("train"),
        lambda p: data_tools.load(p, "train", format="numpy"),
    ):
        message(read, tmp_path / "a")


def test_extractors_of_a_run_have_short_names(tmp_path: Path) -> None:
    one: dict[str, Any] = {"name": "onnx", "options": {}, "sources": {"model": "y" * 9000}}
    one |= {"files": {"model": "a.onnx"}, "state": None, "segments": 10, "rendering": None}
    path = tmp_path / "extractors.json"
    long = "x" * 9000
    for extractors in (
        {long: one},
        {"audio": {**one, "files": {"model": long}}},
        {"audio": {**one, "name": long}},
    ):
        path.write_text(json.dumps({"format": FORMAT, "extractors": extractors}))
        message(lambda p: RawFeatures(p.parent, {}), path)
    path.write_text(json.dumps({"format": FORMAT, "extractors": {"audio": one}}))
    with pytest.raises(FileNotFoundError, match=r"needs the file a\.onnx of SHA-256 yyy") as caught:
        list(RawFeatures(tmp_path, {})("audio", ["a.wav"]))
    assert len(str(caught.value)) < 1000


def test_archives_of_learned_features(tmp_path: Path) -> None:
    path = tmp_path / "extractors.npz"
    np.savez(path, audio_mean=np.ones(3))
    content = path.read_bytes()
    features = ClipFeatures(tmp_path, {"audio": {"name": "log_mel", "options": {}}})
    for read in (Extractors.load, features.load_state):
        path.write_bytes(content)
        message(read, path)
        # Flags of an encrypted member, an unknown method of compression, a damaged stream.
        for place in (6, 8, 60):
            changed = bytearray(content)
            changed[place] ^= 0x41
            changed[content.find(b"PK\1\2") + place + 2] ^= 0x41 if place < 9 else 0
            path.write_bytes(bytes(changed))
            message(read, path)


def test_weights_that_are_no_dict_of_tensors(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.pth"
    for content in ([torch.zeros(1)], {"a": 1}, {1: torch.zeros(1)}, torch.zeros(1).expand(10**12)):
        torch.save(content, path)
        with pytest.raises(ValueError, match=r"a\.pth|weights of VGGish"):
            vggish_weights.load_weights(None, path)
    torch.save({"features.0.weight": torch.zeros(1).expand(10**12)}, path)
    with pytest.raises(ValueError, match=r"must store all numbers of 'features\.0\.weight'"):
        vggish_weights.load_weights(None, path)
    path.write_bytes(b"\x80\x02}q\x00(K")
    message(lambda p: vggish_weights.load_weights(None, p), path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_tools.raw.digits_sources.MAX_IDX_BYTES", 2**20)
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes(2**24)))
    assert "must unpack to at most 1048576 bytes" in message(read_idx, path)
