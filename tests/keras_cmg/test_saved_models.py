"""`.keras` files of strangers: bombs, huge layers and damage are refused before they are built."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import keras
import pytest

from keras_cmg.export.runs import load_run
from keras_cmg.saved_models import CONFIG, WEIGHTS, load_model, load_weights
from tests.helpers.hostile_files import write_crashing_hdf5
from tests.helpers.memory import bounded_memory


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small model as Keras saves it."""
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, name="dense")]).save(path)
    return path


def changed(path: Path, member: str, content: bytes | str | None) -> Path:
    """The file with another content of a member; None leaves it out."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[member] = content  # type: ignore[assignment]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, kept in contents.items():
            if kept is not None:
                archive.writestr(name, kept)
    return path


def refused(path: Path, message: str) -> None:
    with bounded_memory(2**28), pytest.raises(ValueError, match=message) as caught:
        load_model(path)
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_layers_larger_than_their_weights_are_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        config = json.loads(archive.read(CONFIG))
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Dense":
            layer["config"]["units"] = 10**10
    refused(changed(saved, CONFIG, json.dumps(config)), "must describe layers with at most")
    # Layers that are made elsewhere have no limit.
    assert keras.layers.Dense(300).add_weight(shape=(300, 300)).shape == (300, 300)


def test_more_layers_than_anyone_needs_are_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_cmg.saved_models.MAX_LAYERS", 1)
    refused(saved, "must describe at most 1 layers")


def test_an_archive_bomb_is_refused(saved: Path) -> None:
    refused(changed(saved, CONFIG, b" " * 2**27), "must unpack to at most 100 times")


def test_weights_that_crash_are_refused(saved: Path) -> None:
    crashing = write_crashing_hdf5(saved.with_name("own.weights.h5"))
    model = load_model(saved)
    with pytest.raises(ValueError, match=r"own\.weights\.h5 must hold whole weights; it crashes"):
        load_weights(model, crashing)
    refused(changed(saved, WEIGHTS, crashing.read_bytes()), "crashes the HDF5 library")


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (CONFIG, b"{}", "must be a Keras model"),
        (CONFIG, b"[" * 10**5, "must be a Keras model"),
        (CONFIG, b'{"class_name": "Functional", "config": {}}', "must be a Keras model"),
        (CONFIG, None, "must be a Keras model"),
        (WEIGHTS, None, f"must hold {WEIGHTS}"),
        (WEIGHTS, b"no HDF5", "must be a whole HDF5 file"),
    ],
)
def test_damage_is_named(saved: Path, member: str, content: bytes | None, message: str) -> None:
    refused(changed(saved, member, content), message)
    with pytest.raises(ValueError, match=r"model\.keras"):
        load_run(saved)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)
    refused(path, "must be a Keras model")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.keras")
    (tmp_path / "a.bin").write_bytes(b"x")
    refused(tmp_path / "a.bin", r"its name must end in '\.keras'")
    (tmp_path / "a.keras").write_bytes(b"x")
    refused(tmp_path / "a.keras", "must be a Keras model")
