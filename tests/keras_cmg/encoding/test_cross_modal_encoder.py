"""Encoders of runs: what they encode equals the backbone, and what they refuse is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.encoding import raw_features

SHAPES = {"audio": (None, 10, 128), "text": (None, 8, 64)}


@pytest.fixture(scope="module")
def backbone() -> keras_cmg.models.Backbone:
    made = keras_cmg.models.FCIDBackbone.from_preset("plus", modalities=("audio", "text"))
    made.build(SHAPES)
    return made


class Lengths:
    """Features of a file are its length; of no file, the reason."""

    modalities = ("audio",)

    def __init__(self, run: Path, models: Mapping[str, str]) -> None:
        self.models = models

    def __call__(
        self, modality: str, files: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> Iterator[np.ndarray | str]:
        for file in files:
            if not Path(file).is_file():
                yield "does not exist"
                continue
            yield np.full((10, 128), float(len(Path(file).read_bytes())), "float32")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose extractors are `Lengths`."""
    monkeypatch.setattr(raw_features, "_openers", [Lengths])
    (tmp_path / "extractors.json").touch()
    (tmp_path / "a.wav").write_bytes(b"1")
    (tmp_path / "b.wav").write_bytes(b"22")
    return tmp_path


@pytest.mark.every_engine
def test_features_are_encoded_as_by_the_backbone(backbone: keras_cmg.models.Backbone) -> None:
    x = np.random.default_rng(0).normal(size=(70, 8, 64)).astype("float32")
    x[:, 5:] = 0
    mask = np.any(x != 0, axis=-1)
    expected = backbone.encode("text", x, "clip", mask)
    found = keras_cmg.CrossModalEncoder(backbone).encode("text", features=x)
    general = keras.ops.convert_to_numpy(expected["general"])
    np.testing.assert_allclose(found.vectors, general, atol=1e-5)
    assert found.indices.shape == (70, 4)
    assert found.names[69] == "69"
    assert found.modality == "text"


def test_files_are_encoded_in_their_order(backbone: keras_cmg.models.Backbone, run: Path) -> None:
    model = keras_cmg.CrossModalEncoder(backbone, run=run)
    files = [run / "b.wav", run / "a.wav"]
    found = model.encode("audio", files=files)
    assert found.names == found.files == tuple(map(str, files))
    assert found.features[:, 0, 0].tolist() == [2, 1]
    assert model.encode("audio", files=files, names=("b", "a")).names == ("b", "a")


def test_files_that_cannot_be_read_are_named(
    backbone: keras_cmg.models.Backbone, run: Path
) -> None:
    model = keras_cmg.CrossModalEncoder(backbone, run=run)
    files = [str(run / name) for name in ("c.wav", "a.wav", "d.wav")]
    with pytest.raises(ValueError, match=r"c\.wav: does not exist; .*d\.wav: does not exist"):
        model.encode("audio", files=files)
    many = [str(run / f"{number}.wav") for number in range(200)]
    with pytest.raises(ValueError, match=r"2\.wav: does not exist; and 197 more") as caught:
        model.encode("audio", files=many)
    assert len(str(caught.value)) < 1000
    found = model.encode("audio", files=files, on_error="skip")
    assert found.names == (files[1],)
    assert found.failures == ((files[0], "does not exist"), (files[2], "does not exist"))
    none = model.encode("audio", files=files[:1], on_error="skip")
    assert none.vectors.shape == (0, 256)
    assert none.indices.shape == (0, 4)
    assert model.encode("audio", files=[]).names == ()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "Exactly one of `files`, `texts` and `features` must be given"),
        ({"files": [], "texts": []}, "Exactly one of"),
        ({"texts": ["a"]}, "`texts` must be of the modality 'text'"),
        ({"files": "a.wav"}, "`files` must be a list. Received the single 'a.wav'"),
        ({"features": np.zeros((2, 10, 128)), "names": ["a"]}, "`names` must have 2 entries"),
        ({"features": np.zeros((2, 10, 7))}, "Features of 'audio' must have shape"),
        ({"files": [], "on_error": "stop"}, "`on_error` must be one of"),
        ({"files": ["a.wav"]}, "A model without a run has no extractors"),
    ],
)
def test_wrong_arguments_are_refused(
    backbone: keras_cmg.models.Backbone, arguments: dict, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        keras_cmg.CrossModalEncoder(backbone).encode("audio", **arguments)


def test_an_index_of_another_model_is_refused(backbone: keras_cmg.models.Backbone) -> None:
    model = keras_cmg.CrossModalEncoder(backbone)
    index = model.new_index()
    model.check_index(index)
    with pytest.raises(ValueError, match="`index` must be made with the model that searches it"):
        model.check_index(keras_cmg.search.ClipIndex(index.codebook + 1))


def test_runs_without_extractors_or_index_say_so(
    backbone: keras_cmg.models.Backbone, tmp_path: Path, run: Path
) -> None:
    model = keras_cmg.CrossModalEncoder(backbone, run=run)
    with pytest.raises(ValueError, match=r"keep an extractor of 'text'; it has those of \('audio'"):
        model.encode("text", texts=["a"])
    (run / "extractors.json").unlink()
    with pytest.raises(ValueError, match=r"keep its extractors in extractors\.json"):
        keras_cmg.CrossModalEncoder(backbone, run=run).encode("audio", files=["a.wav"])
    with pytest.raises(FileNotFoundError, match="has no index of clips; `keras-cmg index"):
        _ = model.index
    with pytest.raises(FileNotFoundError, match="A model without a run has no index"):
        _ = keras_cmg.CrossModalEncoder(backbone).index


def test_only_models_are_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither a run with model\.keras in it nor"):
        keras_cmg.load(tmp_path)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"must hold a pretrainer or a backbone\. Received: Seq"):
        keras_cmg.load(tmp_path)
