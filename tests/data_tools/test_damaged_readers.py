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
from data_tools.extraction.clip_features import ClipFeatures
from data_tools.extraction.clips import find_clips
from data_tools.features import vggish_weights
from data_tools.io.feature_folder import FeatureFolder
from data_tools.io.tables import read_table
from data_tools.published.annotations import read_records
from data_tools.raw.digits_sources import read_idx
from data_tools.raw.extractors import Extractors
from data_tools.raw.preparation import is_prepared
from data_tools.store import Store
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
    for name in ("../a", "/a", "a" * 6000):
        path.write_text(json.dumps({"files": {name: "0" * 64}}))
        assert "of its folder" in message(lambda p: data_tools.verify(p.parent), path)


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
    learned = tmp_path / "extractors.npz"
    std = np.where(np.arange(128) == 5, np.inf, 1.0)
    np.savez(learned, audio_mean=np.zeros(128), audio_std=std, sample_rate=8000)
    assert "127 of them finite" in message(lambda p: load_log_mel_summary(p.parent), learned)


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
