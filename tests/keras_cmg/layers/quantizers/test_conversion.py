"""Quantisers in ONNX and LiteRT files: the operations that they are made of exist there."""

import warnings

import keras
import numpy as np
import pytest

from keras_cmg import layers
from keras_cmg.export.convertible_search import convertible_search

pytestmark = [
    pytest.mark.every_engine,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="files are converted from TensorFlow graphs"
    ),
]
DIM = 4
X = np.random.default_rng(0).standard_normal((6, 3, DIM)).astype("float32")


@pytest.fixture(scope="module")
def graph():
    import tensorflow as tf

    quantizers = [
        layers.FSQ((8, 5, 5, 5)),
        layers.FSQ((4, 2, 3, 5), symmetric=True),
        layers.BSQ(DIM),
        layers.Codebook(8, DIM, similarity="cosine"),
        layers.GroupedQuantizer(layers.LearnedCodebook(8, 2, initial_scale=1.0), num_groups=2),
        layers.ProjectedQuantizer(layers.LFQ(3), DIM),
        layers.ResidualQuantizer(layers.SimVQ(8, DIM), num_levels=2, min_levels=1),
        layers.ResidualQuantizer(layers.SimVQ(8, DIM), num_levels=2, beam_size=2),
    ]
    for quantizer in quantizers:
        quantizer.build()

    @tf.function(input_signature=[tf.TensorSpec((None, 3, DIM), name="x")])
    def quantized(x):
        values = []
        for quantizer in quantizers:
            outputs = quantizer(x, training=False)
            values += [outputs["quantized"], quantizer.decode(outputs["indices"])]
        return tf.concat(values, axis=-1, name="y")

    quantized.quantizers = quantizers
    return quantized


def test_onnx(graph, tmp_path):
    tf2onnx = pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    with convertible_search():
        tf2onnx.convert.from_function(
            graph, graph.input_signature, opset=18, output_path=str(tmp_path / "a.onnx")
        )
    session = runtime.InferenceSession(tmp_path / "a.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(found, graph(X), atol=1e-5)


def test_litert(graph):
    import tensorflow as tf

    interpreter_class = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    with convertible_search(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = tf.lite.TFLiteConverter.from_concrete_functions(
            [graph.get_concrete_function()], graph
        ).convert()
    interpreter = interpreter_class(model_content=content)
    position = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(position, X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(position, X)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(found, graph(X), atol=1e-5)
