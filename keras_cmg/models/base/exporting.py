"""`export` of models, which `keras_cmg.export` performs.

Packages import only from those below them, and `keras_cmg.export` is above the models: it registers
its function here when it is imported, as it is with `keras_cmg`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

FORMATS = {"tf_saved_model": "saved_model", "onnx": "onnx", "litert": "litert"}
"""Names of formats in `keras.Model.export`, and in `keras_cmg.export.export`."""

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite"}
"""Formats of one file per endpoint, and the suffixes of the files."""

_exporters: list[Callable[..., Any]] = []


def register_exporter(function: Callable[..., Any]) -> None:
    """Registers the function that exports models.

    Args:
        function: `keras_cmg.export.export`.

    Example:

    >>> register_exporter(keras_cmg.export.export)
    """
    _exporters[:] = [function]


def export_system(
    model: keras.Model,
    filepath: str | os.PathLike[str],
    format: str = "tf_saved_model",
    input_signature: Any = None,
    **kwargs: Any,
) -> None:
    """Exports a pretrainer or backbone with one endpoint per modality.

    Args:
        model: a built pretrainer or backbone.
        filepath: folder to write.
        format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
        input_signature: None; endpoints take any number of clips and frames.
        **kwargs: further arguments of `keras_cmg.export.export`.

    Raises:
        ValueError: if the format is not supported, naming the call that exports to it, or as
            `keras_cmg.export.export`.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> export_system(backbone, "served", format="pickle")
    Traceback (most recent call last):
        ...
    ValueError: `format` must be one of ('tf_saved_model', 'onnx', 'litert'). Received: 'pickle'
    """
    if format not in FORMATS:
        advice = {
            "torch": ". Export one modality on PyTorch by `keras_cmg.models.ModalityEncoder("
            "backbone, modality).export(filepath, format='torch')`.",
            "openvino": ". Convert the files of format 'onnx' with `openvino.convert_model`.",
        }.get(format, "")
        raise ValueError(f"`format` must be one of {tuple(FORMATS)}. Received: {format!r}{advice}")
    if input_signature is not None:
        raise ValueError(
            "`input_signature` must be None: endpoints take any number of clips and frames. "
            f"Received: {input_signature!r}"
        )
    (export,) = _exporters
    export(model, filepath, format=FORMATS[format], **kwargs)


def export_encoder(
    backbone: keras.Model,
    modality: str,
    level: str,
    filepath: str | os.PathLike[str],
    format: str = "tf_saved_model",
    **kwargs: Any,
) -> None:
    """Exports the endpoint of one modality: a SavedModel, or a single ONNX or LiteRT file.

    Args:
        backbone: a built backbone.
        modality: str, name of the modality.
        level: `"segment"` or `"clip"`.
        filepath: folder of the SavedModel, or the file to write.
        format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
        **kwargs: further arguments of `export_system`.

    Raises:
        ValueError: as `export_system`.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> export_encoder(backbone, "audio", "clip", "audio.onnx", input_signature=[])
    Traceback (most recent call last):
        ...
    ValueError: `input_signature` must be None: endpoints take any number of clips and frames. \
Received: []
    """
    kwargs = {"masked": (), **kwargs, "modalities": (modality,), "levels": {modality: level}}
    if format not in SUFFIXES:
        export_system(backbone, filepath, format, **kwargs)
        return
    filepath = Path(filepath).absolute()
    with tempfile.TemporaryDirectory(prefix=f".{filepath.name}.", dir=filepath.parent) as scratch:
        folder = Path(scratch) / "endpoints"
        export_system(backbone, folder, format, **kwargs)
        os.replace(folder / f"encode_{modality}{SUFFIXES[format]}", filepath)
