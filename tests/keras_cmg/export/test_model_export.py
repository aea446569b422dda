"""`export` of models, as every Keras model has it, on every engine."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.export import read_metadata
from tests.helpers.served_systems import SHAPES


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras_cmg.models.FCID.from_preset(
        "small",
        modalities=("audio", "text"),
        backbone={
            "num_embeddings": 6,
            "embedding_dim": 8,
            "general": {"feedforward_units": 8, "num_heads": 2},
        },
    )
    model.backbone.build({name: SHAPES[name] for name in ("audio", "text")})
    return model


@pytest.mark.every_engine
def test_an_encoder_is_exported_to_a_file(model: keras.Model, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    encoder = keras_cmg.models.ModalityEncoder(model.backbone, "audio", level="clip")
    path = tmp_path / "audio.onnx"
    encoder.export(path, format="onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["audio.onnx"]
    x = np.random.default_rng(0).normal(size=(3, 7, 12)).astype("float32")
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"audio": x}), strict=True))
    for key, value in encoder.predict(x, verbose=0).items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)


@pytest.mark.every_engine
def test_a_system_is_exported_with_all_of_its_modalities(
    model: keras.Model, tmp_path: Path
) -> None:
    pytest.importorskip("tensorflow")
    model.export(tmp_path / "served")
    signatures = read_metadata(tmp_path / "served")["signatures"]
    assert sorted(signatures) == ["encode_audio", "encode_text", "encode_text_masked"]


def test_an_encoder_is_exported_by_keras_to_torch(model: keras.Model, tmp_path: Path) -> None:
    encoder = keras_cmg.models.ModalityEncoder(model.backbone, "audio")
    x = np.random.default_rng(0).normal(size=(2, 10, 12)).astype("float32")
    encoder(x)
    if keras.backend.backend() != "torch":
        with pytest.raises(ValueError, match="PyTorch"):
            encoder.export(tmp_path / "audio.pt2", format="torch")
        return
    encoder.export(tmp_path / "audio.pt2", format="torch", verbose=False)
    assert (tmp_path / "audio.pt2").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "torch"}, "`keras_cmg.models.ModalityEncoder"),
        ({"format": "openvino"}, "`openvino.convert_model`"),
        ({"format": "pickle"}, "`format` must be one of"),
        ({"input_signature": [1]}, "`input_signature` must be None"),
        ({"modalities": ("smell",)}, "`modalities` must name modalities of"),
    ],
)
def test_other_exports_are_refused_with_the_right_call(
    model: keras.Model, options, message: str, tmp_path: Path
) -> None:
    for exported in (model, model.backbone):
        with pytest.raises(ValueError, match=message):
            exported.export(tmp_path / "served", **options)
    assert not list(tmp_path.iterdir())
