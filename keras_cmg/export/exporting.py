"""Exports models of any engine to files that are served without keras_cmg."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cmg.export import tensorflow_process
from keras_cmg.export.metadata import METADATA, metadata_of
from keras_cmg.export.served_system import ServedSystem
from keras_cmg.files import atomic_folder, check_replaceable
from keras_cmg.layers.pca_projection import PCAProjection
from keras_cmg.models.base.backbone import Backbone

FORMATS = ("saved_model", "onnx", "litert")

MAX_CLIPS = 256
MAX_FRAMES = 600
"""Largest request of a SavedModel. Attention holds clips x frames x frames scores per head, which
these limits bound to 370 MB."""


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str = "saved_model",
    levels: str | Mapping[str, str] = "segment",
    toc: keras.Layer | None = None,
    probes: keras.Model | Mapping[str, keras.Model] | None = None,
    labels: Sequence[str] | None = None,
    probe_view: str | None = None,
    activation: str = "softmax",
    front_ends: Mapping[str, keras.Layer] | None = None,
    reductions: Mapping[str, PCAProjection] | None = None,
    masked: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    max_clips: int = MAX_CLIPS,
    max_frames: int = MAX_FRAMES,
    extra: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Exports a system for serving, from features or waveforms to codes and classes.

    There is one endpoint per modality, `encode_<modality>`, which returns `general` and `quantized`
    `(batch, frames, dim)`, `indices` `(batch, frames)` if there is a codebook, and `selected` with
    `toc`; `(batch, dim)` and `(batch,)` at the level `"clip"`. With a probe, `classify_<modality>`
    returns `logits`, `probabilities` and `label_index`. Endpoints with the suffix `_masked` take a
    second input `<modality>_mask`, those with `_waveform` take waveforms, those with `_unreduced`
    take features before `reductions`. The numbers of clips and frames are dynamic.

    A SavedModel checks each request, and answers one of another rank or width, an empty one, one
    beyond `max_clips` or `max_frames`, and one with NaN by an error. The other formats have no
    operation for that.

    Graphs are traced by TensorFlow. On JAX and PyTorch, the model is passed to a process that runs
    Keras on TensorFlow; custom classes must be defined in a module that this process can import.

    `model.export(path)` of pretrainers, backbones and `keras_cmg.models.ModalityEncoder` calls this
    function too.

    Args:
        model: a built pretrainer or backbone.
        path: folder to write; after an error, nothing is written.
        format: `"saved_model"`; `"onnx"` or `"litert"`, a folder with a file per endpoint.
        levels: `"segment"` or `"clip"`, or a dict of modality to either.
        toc: an adapted `TOCChannelMask`.
        probes: a built model from codes to logits for all modalities, or one per modality.
        labels: names of the classes, for the metadata.
        probe_view: input of the probes, see `ServedSystem`.
        activation: `"softmax"` or `"sigmoid"`, from logits to probabilities.
        front_ends: modality to a layer from waveforms to features, such as `LogMelSummary`.
        reductions: modality to a `PCAProjection` from the features of a network to those that the
            model takes, such as `load_reductions` returns.
        masked: modalities that also get endpoints with a mask; default text, if there is one.
        modalities: modalities that get endpoints; default all of the model.
        max_clips: int, clips of a request to a SavedModel.
        max_frames: int, frames of a clip in a request; for waveforms, seconds.
        extra: further entries of the metadata, in the types of JSON.
        overwrite: bool, whether an existing folder of an export is replaced.

    Returns:
        The folder.

    Raises:
        FileExistsError: if `path` exists and `overwrite` is False.
        ImportError: if TensorFlow, or the converter of a format, is not installed.
        ValueError: if an argument does not fit the model, the format does not support it, or a
            folder that is not an export would be replaced.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> keras_cmg.export.export(backbone, "served", levels="frame")
    Traceback (most recent call last):
        ...
    ValueError: `levels` must be of ('segment', 'clip'). Received: {'audio': 'frame'}
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {FORMATS}. Received: {format!r}")
    for name, value in (("max_clips", max_clips), ("max_frames", max_frames)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, Backbone):
        raise ValueError(
            f"`model` must be a pretrainer or a `Backbone`. Received: {type(model).__name__}"
        )
    served = ServedSystem(
        backbone,
        levels=levels,
        toc=toc,
        probes=probes,
        probe_view=probe_view,
        activation=activation,
        front_ends=front_ends,
        reductions=reductions,
        masked=None if masked is None else tuple(masked),
        modalities=None if modalities is None else tuple(modalities),
    )
    rates = [getattr(layer, "sample_rate", 1) for layer in served.front_ends.values()]
    rate = max(rates, default=1)
    limits = {"max_clips": max_clips, "max_frames": max_frames, "max_samples": max_frames * rate}
    metadata = metadata_of(served, labels, limits if format == "saved_model" else None, extra)
    if overwrite:
        check_replaceable("path", path, METADATA, f"assets/{METADATA}")
    with atomic_folder(path, overwrite) as folder:
        tensorflow_process.write(served, folder, format, metadata, limits)
    return Path(path)
