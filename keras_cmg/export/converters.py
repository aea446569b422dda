"""Conversion of endpoints to ONNX and LiteRT files, from their TensorFlow graphs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_cmg.export.metadata import METADATA
from keras_cmg.export.served_system import Endpoint, ServedSystem
from keras_cmg.export.tensorflow_graphs import graph_of, write_metadata

OPSET = 18
"""Version of ONNX operators, which onnxruntime 1.15 and later support."""


def write_onnx(
    served: ServedSystem, path: Path, metadata: Mapping[str, Any], limits: Mapping[str, int]
) -> None:
    """Writes a file `<endpoint>.onnx` per endpoint, and metadata.

    The numbers of clips and frames are dynamic.

    Args:
        served: the system to write.
        path: folder.
        metadata: dict of `metadata_of`.
        limits: ignored, as ONNX has no operation that raises an error.

    Raises:
        ImportError: if tf2onnx is not installed.
    """
    import tf2onnx

    for endpoint in served.endpoints():
        graph = graph_of(endpoint, convertible=True)
        tf2onnx.convert.from_function(
            graph,
            input_signature=graph.input_signature,
            opset=OPSET,
            output_path=str(path / f"{endpoint.name}.onnx"),
        )
    write_metadata(path / METADATA, metadata)


def write_litert(
    served: ServedSystem, path: Path, metadata: Mapping[str, Any], limits: Mapping[str, int]
) -> None:
    """Writes a file `<endpoint>.tflite` per endpoint, and metadata.

    Each file has one signature, of the endpoint's name. The numbers of clips and frames are
    dynamic. Recurrent layers need a fixed number of clips in this format: endpoints with such
    layers take one clip, and are listed in the metadata's entry `clips`.

    Args:
        served: the system to write.
        path: folder.
        metadata: dict of `metadata_of`.
        limits: ignored, as LiteRT has no operation that raises an error.

    Raises:
        ValueError: if an endpoint has an operation that LiteRT does not support.
    """
    clips: dict[str, int | None] = {}
    for endpoint in served.endpoints():
        content = None
        for batch_size in (None, 1):
            try:
                content = _litert(endpoint, batch_size, path)
            except Exception as error:  # converters raise their own classes
                reason = str(error).strip().splitlines()[-1:]
                continue
            clips[endpoint.name] = batch_size
            break
        if content is None:
            raise ValueError(f"LiteRT cannot hold {endpoint.name!r}. Converting gave: {reason}")
        (path / f"{endpoint.name}.tflite").write_bytes(content)
    write_metadata(path / METADATA, {**metadata, "clips": clips})


def _litert(endpoint: Endpoint, batch_size: int | None, path: Path) -> bytes:
    graph = graph_of(endpoint, batch_size=batch_size, convertible=True)
    concrete = graph.get_concrete_function()
    module = tf.Module()
    module.weights = list(concrete.graph.variables)
    folder = path.parent / f"litert_{endpoint.name}"
    tf.saved_model.save(module, str(folder), signatures={endpoint.name: concrete})
    with warnings.catch_warnings():
        # TensorFlow warns that the runtime has moved to another package; the converter has not.
        warnings.simplefilter("ignore")
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(folder), signature_keys=[endpoint.name]
        )
        return converter.convert()
