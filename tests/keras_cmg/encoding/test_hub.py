"""Addresses of the Hugging Face hub, with a hub that is a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.encoding import hub

pytest.importorskip("faiss")
huggingface_hub = pytest.importorskip("huggingface_hub")


class FolderHub:
    """Keeps repositories as folders of files; downloads are links, as in the hub's cache."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def HfApi(self, **about: Any) -> FolderHub:
        assert about["library_name"] == "keras"
        return self

    def create_repo(self, name: str, exist_ok: bool, private: bool) -> str:
        (self.root / name).mkdir(parents=True, exist_ok=exist_ok)
        return f"https://huggingface.co/{name}"

    def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, repo_id: str, **about: Any) -> str:
        source = self.root / repo_id
        if not source.is_dir():
            raise OSError(f"404: no repository {repo_id}")
        linked = self.root / "cache" / repo_id
        for path in source.rglob("*"):
            if path.is_file():
                link = linked / path.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(path)
        return str(linked)


@pytest.fixture
def folder_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderHub:
    """A hub in a folder, for this package and for Keras."""
    made = FolderHub(tmp_path / "hub")
    for name in ("HfApi", "snapshot_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(made, name))
    return made


def test_an_upload_that_fails_is_told_in_one_line(
    run: Path, folder_hub: FolderHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, exist_ok: bool, private: bool) -> str:
        raise RuntimeError("no token")

    monkeypatch.setattr(folder_hub, "create_repo", refuse)
    with pytest.raises(ConnectionError, match="hf://a/b could not be uploaded: no token"):
        hub.push(str(run), "hf://a/b")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that runs keep; only to be read."""
    folder = tmp_path_factory.mktemp("run")
    model = keras_cmg.models.FCID.from_preset("plus", modalities=("audio", "text"))
    model.build({"audio": (None, 10, 128), "text": (None, 8, 64)})
    model.compile()
    model.save(folder / "model.keras")
    (folder / "labels.txt").write_text("dog\nsea\n")
    card = {"licence": None, "command": "keras-cmg train --clips /data/me/clips --out runs/a"}
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "README.md").write_text(
        '---\nlibrary_name: keras\n---\n\nkeras_cmg.load("ADDRESS")\n\n## Licence\n\nNot stated.\n'
    )
    np.savez(folder / "audio_extractors.npz", audio_mean=np.zeros(2))
    described = {"name": "yamnet", "state": "audio_extractors.npz", "paths": {"model": "/data/y"}}
    (folder / "extractors.json").write_text(json.dumps({"extractors": {"audio": described}}))
    loaded = keras_cmg.load(folder)
    index = loaded.new_index()
    clips = loaded.encode("audio", features=np.ones((2, 10, 128)), names=("a", "b"))
    index.add(clips, files=("/data/me/a.ogg", "/data/me/b.ogg"))
    index.save(folder / "index")
    return folder


def test_what_is_pushed_is_loaded(folder_hub: FolderHub, run: Path) -> None:
    url = keras_cmg.encoding.push(str(run), "hf://me/sounds", index=True, licence="cc-by-4.0")
    assert url == "https://huggingface.co/me/sounds"
    here, there = keras_cmg.load(run), keras_cmg.load("hf://me/sounds")
    assert there.labels == ("dog", "sea")
    assert there.card["licence"] == "cc-by-4.0"
    x = np.random.default_rng(0).normal(size=(3, 10, 128))
    np.testing.assert_array_equal(
        there.encode("audio", features=x).vectors, here.encode("audio", features=x).vectors
    )
    assert [clip.name for clip in there.index.clips("audio")] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("card.json", content) for content in (b"[]", b"{", b'"a"', b'{"a":' * 3000)),
        *(("labels.txt", b"\xff"), ("README.md", b"\xe9")),
        *(("extractors.json", content) for content in (b"{}", b"[]", b"{", b"\xff")),
        ("extractors.json", b'{"extractors": ["audio"]}'),
        ("extractors.json", b'{"extractors": {"audio": 7}}'),
        ("extractors.json", b'{"extractors": {"audio": {"state": 7}}}'),
        ("extractors.json", b'{"extractors": {"audio": {"state": "a\\u0000"}}}'),
    ],
)
def test_a_damaged_file_of_a_run_is_named(
    run: Path, folder_hub: FolderHub, tmp_path: Path, name: str, content: bytes
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy", ignore=lambda *_: ["index"]))
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=name.replace(".", r"\.")) as caught:
        hub.push(str(copy), "hf://me/sounds", licence="mit")
    assert len(str(caught.value)) < 1000
    assert not (folder_hub.root / "me").exists()


def test_keras_loads_it_too(folder_hub: FolderHub, run: Path) -> None:
    keras_cmg.encoding.push(str(run), "hf://me/sounds")
    model = keras.saving.load_model("hf://me/sounds")
    assert model.backbone.modalities == ("audio", "text")
    assert getattr(model, "optimizer", None) is None


def test_nothing_of_the_machine_is_pushed(folder_hub: FolderHub, run: Path) -> None:
    keras_cmg.encoding.push(str(run), "hf://me/sounds", index=True, licence="mit")
    pushed = folder_hub.root / "me" / "sounds"
    texts = {
        path.name: path.read_text()
        for path in pushed.rglob("*")
        if path.suffix in (".json", ".jsonl", ".md", ".txt")
    }
    assert not [name for name, text in texts.items() if "/data" in text]
    assert "--clips clips --out runs/a" in texts["card.json"]
    assert "hf://me/sounds" in texts["README.md"]
    assert "license: mit" in texts["README.md"]
    assert "Licence\n\nmit." in texts["README.md"]
    assert (pushed / "audio_extractors.npz").is_file()


def test_a_missing_repository_is_named(folder_hub: FolderHub) -> None:
    with pytest.raises(FileNotFoundError, match="hf://me/nothing could not be downloaded: 404"):
        keras_cmg.load("hf://me/nothing")


@pytest.mark.parametrize("address", ["hf://me", "hf://me/a/b", "hf://../a b"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="`address` must be hf://USER/NAME"):
        hub.download(address)


def test_a_damaged_download_is_named(folder_hub: FolderHub, run: Path) -> None:
    keras_cmg.encoding.push(str(run), "hf://me/sounds")
    weights = folder_hub.root / "me" / "sounds" / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"model\.weights\.h5"):
        keras_cmg.load("hf://me/sounds")
