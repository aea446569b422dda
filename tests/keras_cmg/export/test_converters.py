"""ONNX and LiteRT files answer as the model does, whatever engine it was on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.export import ServedSystem, export, read_metadata
from keras_cmg.export.convertible_search import nearest_codes
from tests.helpers import served_systems
from tests.helpers.served_systems import (
    SYSTEMS,
    answers,
    assert_same,
    built,
    requests,
)

pytest.importorskip("tensorflow")

Asked = dict[str, dict[str, np.ndarray]]


def onnx_answers(folder: Path, asked: Asked) -> dict[str, Any]:
    runtime = pytest.importorskip("onnxruntime")
    found = {}
    for key, inputs in asked.items():
        session = runtime.InferenceSession(folder / f"{key.partition('/')[0]}.onnx")
        names = [output.name for output in session.get_outputs()]
        found[key] = dict(zip(names, session.run(names, inputs), strict=True))
    return found


def litert_answers(folder: Path, asked: Asked) -> dict[str, Any]:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    found = {}
    for key, inputs in asked.items():
        name = key.partition("/")[0]
        runner = interpreter(str(folder / f"{name}.tflite")).get_signature_runner(name)
        found[key] = runner(**inputs)
    return found


def check(name: str, format: str, folder: Path, quantizer: Any = None) -> dict[str, Any]:
    """Exports a system and compares; gives the metadata."""
    pytest.importorskip("tf2onnx" if format == "onnx" else "ai_edge_litert")
    model = built(name, quantizer)
    # One probe will do: each conversion takes about a second.
    arguments = served_systems.surroundings(model)
    arguments["probes"] = {model.backbone.modalities[0]: arguments["probes"]}
    path = export(model, folder / format, format=format, **arguments)
    served = ServedSystem(model.backbone, **arguments)
    metadata = read_metadata(path)
    fixed = {key for key, clips in metadata.get("clips", {}).items() if clips is not None}
    asked = {
        key: inputs
        for key, inputs in requests(served).items()
        if key.partition("/")[0] not in fixed or key.endswith("/1")
    }
    run = onnx_answers if format == "onnx" else litert_answers
    assert_same(run(path, asked), answers(served, asked))
    return metadata


@pytest.mark.every_engine
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_fcid_is_converted_as_it_is(format: str, tmp_path: Path) -> None:
    metadata = check("fcid", format, tmp_path)
    assert not any(metadata.get("clips", {}).values())


@pytest.mark.every_engine
@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("name", sorted(set(SYSTEMS) - {"fcid"}))
def test_every_system_is_converted_as_it_is(name: str, format: str, tmp_path: Path) -> None:
    check(name, format, tmp_path)


@pytest.mark.every_engine
@pytest.mark.slow
@pytest.mark.parametrize("kind", served_systems.QUANTIZERS)
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_a_system_of_several_indices_is_converted_as_it_is(
    kind: str, format: str, tmp_path: Path
) -> None:
    metadata = check("turn", format, tmp_path, served_systems.QUANTIZERS[kind]())
    assert metadata["codebook"]["index_shape"] == [2] and not metadata["codebook"]["sha256"]


@pytest.mark.every_engine
def test_the_lowest_of_equal_codes_wins_in_every_format(tmp_path: Path) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are traced on TensorFlow")
    import tensorflow as tf
    import tf2onnx

    # Whole numbers, so that equal codes have equal scores in any order of summation.
    random = np.random.default_rng(0)
    distinct = random.integers(-4, 5, size=(5, 4))
    codebook = np.repeat(distinct, 3, axis=0).astype("float32")
    x = np.concatenate([codebook, random.integers(-4, 5, size=(20, 4))]).astype("float32")
    expected = 3 * np.square(x[:, None] - distinct).sum(axis=2).argmin(axis=1)
    graph = tf.function(
        lambda x: nearest_codes(x, codebook), input_signature=[tf.TensorSpec((None, 4), name="x")]
    )
    np.testing.assert_array_equal(graph(x).numpy(), expected)
    tf2onnx.convert.from_function(graph, graph.input_signature, output_path=f"{tmp_path}/a.onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession(tmp_path / "a.onnx")
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], expected)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([graph.get_concrete_function()])
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(
        model_content=converter.convert()
    )
    given, asked = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given[0]["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given[0]["index"], x)
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(asked[0]["index"]), expected)


@keras.saving.register_keras_serializable("tests")
class Unexportable(keras.layers.Layer):
    """An encoder that LiteRT has no operation for."""

    def call(self, inputs, training=False):
        spectrum = keras.ops.svd(inputs)[1]
        return spectrum[..., None] * keras.ops.ones((1, 1, 4))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], 4)


def test_a_failed_conversion_leaves_nothing_behind(tmp_path: Path) -> None:
    backbone = keras_cmg.models.FCIDBackbone(
        ("audio",), num_embeddings=3, embedding_dim=4, encoders={"audio": Unexportable()}
    )
    backbone.build({"audio": (None, 4, 4)})
    with pytest.raises(ValueError, match=re.escape("LiteRT cannot hold 'encode_audio'")):
        export(backbone, tmp_path / "served", format="litert")
    assert not list(tmp_path.iterdir())
