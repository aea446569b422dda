"""From a model on any engine to files that are served without keras_cmg."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cmg.export import tensorflow_process
from keras_cmg.export.metadata import metadata_of
from keras_cmg.export.served_system import ServedSystem
from keras_cmg.files import new_folder
from keras_cmg.models.base.backbone import Backbone

FORMATS = ("saved_model", "onnx", "litert")

MAX_CLIPS = 256
MAX_FRAMES = 600
"""Largest request of a SavedModel. Attention holds clips x frames x frames scores per head: these
limits bound them to 370 MB."""


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
    masked: Sequence[str] | None = None,
    max_clips: int = MAX_CLIPS,
    max_frames: int = MAX_FRAMES,
    extra: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a system for serving: features, or waveforms, to codes and classes.

    One endpoint per modality, `encode_<modality>`: `general` and `quantized` `(batch, frames,
    dim)`, `indices` `(batch, frames)` where there is a codebook, `selected` where there is a
    channel choice; `(batch, dim)` and `(batch,)` at the level `"clip"`. With a probe,
    `classify_<modality>`: `logits`, `probabilities`, `label_index`. Each also with `_masked`
    (second input `<modality>_mask`) and `_waveform` where asked for. Batch and frames are dynamic.

    A SavedModel checks each request and answers a malformed one with an error: another rank or
    width, nothing in it, more than `max_clips` or `max_frames`, NaN. The other formats have no
    operation for that.

    Graphs are TensorFlow's on every engine. JAX and PyTorch hand the model to a process of its
    own that runs Keras on TensorFlow; a class of yours must then be in a module that this
    process can import, not in a script.

    Args:
        model: a pretrainer or its backbone, built.
        path: folder to write; whole or not at all.
        format: `"saved_model"`; `"onnx"` or `"litert"`, a folder with a file per endpoint.
        levels: `"segment"` or `"clip"`, or a dict of modality to either.
        toc: an adapted `TOCChannelMask`.
        probes: a built model from codes to logits for all modalities, or one per modality.
        labels: names of the classes, for the metadata.
        probe_view: what the probes were trained on, see `ServedSystem`.
        activation: from logits to probabilities: `"softmax"` or `"sigmoid"`.
        front_ends: modality to a layer from waveforms to features, such as `LogMelSummary`.
        masked: modalities that also get endpoints with a mask; default text, where it is there.
        max_clips: of a request to a SavedModel.
        max_frames: of a clip in it; in samples for a front end, that many seconds.
        extra: further entries of the metadata, in the types of JSON.
        overwrite: replace what is at `path`.

    Returns:
        The folder.

    Raises:
        FileExistsError: if `path` exists, and `overwrite` is off.
        ImportError: if TensorFlow, or the converter of a format, is not installed.
        ValueError: for arguments that do not fit the model, or a model that a format cannot hold.

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
            f"`model` must be a pretrainer or a Backbone. Received: {type(model).__name__}"
        )
    served = ServedSystem(
        backbone,
        levels=levels,
        toc=toc,
        probes=probes,
        probe_view=probe_view,
        activation=activation,
        front_ends=front_ends,
        masked=None if masked is None else tuple(masked),
    )
    rates = [getattr(layer, "sample_rate", 1) for layer in served.front_ends.values()]
    rate = max(rates, default=1)
    limits = {"max_clips": max_clips, "max_frames": max_frames, "max_samples": max_frames * rate}
    metadata = metadata_of(served, labels, limits if format == "saved_model" else None, extra)
    with new_folder(path, overwrite) as folder:
        tensorflow_process.write(served, folder, format, metadata, limits)
    return Path(path)
