"""TensorFlow graphs of endpoints, with checks of requests for serving, without for conversion.

Imported only where Keras runs on TensorFlow.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_cmg.export.convertible_search import convertible_search
from keras_cmg.export.metadata import METADATA
from keras_cmg.export.served_system import Endpoint, ServedSystem


def graph_of(
    endpoint: Endpoint,
    max_clips: int | None = None,
    max_length: int | None = None,
    batch_size: int | None = None,
    convertible: bool = False,
) -> Any:
    """Traces an endpoint.

    Args:
        endpoint: the endpoint.
        max_clips: int, requests with more clips are refused; without it, requests are not checked.
        max_length: int, requests with more frames, or samples, are refused.
        batch_size: int, a fixed number of clips; default any number.
        convertible: whether to use only operations that ONNX and LiteRT support too.

    Returns:
        A `tf.function` with one concrete function.
    """

    def answer(*values):
        inputs = dict(zip(endpoint.inputs, values, strict=True))
        if max_clips is not None:
            inputs = checked(endpoint, inputs, max_clips, max_length)
            return finite(endpoint, endpoint.function(**inputs))
        return endpoint.function(**inputs)

    signature = [
        tf.TensorSpec((batch_size, *shape[1:]), tf.float32, name=name)
        for name, shape in endpoint.inputs.items()
    ]
    graph = tf.function(answer, input_signature=signature)
    with convertible_search() if convertible else contextlib.nullcontext():
        graph.get_concrete_function()
    return graph


def checked(
    endpoint: Endpoint, inputs: Mapping[str, Any], max_clips: int, max_length: int | None
) -> dict[str, Any]:
    """Adds checks to inputs, which run with each request and end a malformed one with a message.

    Requests may have a wrong width, no clips, clips that exceed the memory, or NaN.

    Args:
        endpoint: the endpoint that has these inputs.
        inputs: name to tensor.
        max_clips: int, largest number of clips.
        max_length: int, largest number of frames or samples.

    Returns:
        Name to tensor. Evaluating one raises `tf.errors.InvalidArgumentError` if a check fails.
    """
    features = next(iter(endpoint.inputs))
    passed = {}
    for name, x in inputs.items():
        shape = endpoint.inputs[name]
        # Otherwise a wrong rank or width ends in an error of some inner layer.
        x = tf.ensure_shape(x, shape, name=f"shape_of_{name}")
        sizes = tf.shape(x)
        checks = [
            _require(tf.reduce_all(sizes > 0), f"{name} must not be empty; its shape is", sizes),
            _require(sizes[0] <= max_clips, f"{name} must hold at most {max_clips} clips;", sizes),
        ]
        if max_length is not None:
            message = f"{name} must hold at most {max_length} {endpoint.unit} per clip;"
            checks.append(_require(sizes[1] <= max_length, message, sizes))
        with tf.control_dependencies(checks):
            x = tf.identity(x)
        finite = tf.reduce_all(tf.math.is_finite(x))
        checks = [_require(finite, f"{name} must be finite; it holds NaN or infinity.", sizes)]
        if name != features:
            counted = tf.reduce_all(tf.reduce_any(x != 0, axis=1))
            same = tf.reduce_all(sizes == tf.shape(inputs[features])[:2])
            checks += [
                _require(same, f"{name} must have the clips and frames of {features};", sizes),
                _require(counted, f"{name} must count at least one frame of each clip;", sizes),
            ]
        with tf.control_dependencies(checks):
            passed[name] = tf.identity(x)
    return passed


def finite(endpoint: Endpoint, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Adds checks to outputs: numbers that are finite but huge overflow inside the model.

    Args:
        endpoint: the endpoint that has these outputs.
        outputs: name to tensor.

    Returns:
        Name to tensor. Evaluating one raises `tf.errors.InvalidArgumentError` if an output is not
        finite, which JSON could not hold.
    """
    features = next(iter(endpoint.inputs))
    checks = [
        _require(
            tf.reduce_all(tf.math.is_finite(value)),
            f"{features} must hold smaller numbers; with these, {name} is not finite.",
            tf.shape(value),
        )
        for name, value in outputs.items()
        if value.dtype.is_floating
    ]
    with tf.control_dependencies(checks):
        return {name: tf.identity(value) for name, value in outputs.items()}


def _require(condition: Any, message: str, sizes: Any) -> Any:
    return tf.debugging.Assert(condition, [message, "shape", sizes], summarize=8)


def write_saved_model(
    served: ServedSystem, path: Path, metadata: Mapping[str, Any], limits: Mapping[str, int]
) -> None:
    """Writes a SavedModel with a signature per endpoint and the metadata as an asset.

    Args:
        served: the system to write.
        path: folder, new or empty.
        metadata: dict of `metadata_of`.
        limits: `max_clips`, `max_frames`, `max_samples`.
    """
    module = tf.Module(name="keras_cmg")
    graphs = {
        endpoint.name: graph_of(
            endpoint, limits["max_clips"], limits.get(f"max_{endpoint.unit}")
        ).get_concrete_function()
        for endpoint in served.endpoints()
    }
    # Variables that no signature reads, such as those of specific encoders, are left out.
    read = {id(v): v for graph in graphs.values() for v in graph.graph.variables}
    module.weights = list(read.values())
    note = path.parent / METADATA
    write_metadata(note, metadata)
    module.metadata = tf.saved_model.Asset(str(note))
    tf.saved_model.save(module, str(path), signatures=graphs)
    note.unlink()


def write_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes the metadata, with the version of TensorFlow.

    Args:
        path: the file.
        metadata: dict of `metadata_of`.
    """
    versions = {**metadata["versions"], "tensorflow": tf.__version__}
    text = json.dumps({**metadata, "versions": versions}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
