"""Metadata of exported models: signatures, labels, selected channels, versions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cmg.export.served_system import ServedSystem
from keras_cmg.faults import reading
from keras_cmg.files import sha256_of_array
from keras_cmg.layers.quantizers.quantizer import MAX_CODEBOOK
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.records import read_record
from keras_cmg.version import __version__

FORMAT = "keras_cmg.export/1"
METADATA = "metadata.json"


def metadata_of(
    served: ServedSystem,
    labels: Sequence[str] | None = None,
    limits: Mapping[str, int] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Collects the metadata that clients need, in the types of JSON.

    Args:
        served: the exported system.
        labels: names of the classes, in the order of the logits.
        limits: largest sizes of a request.
        extra: further entries, such as the command that trained the model.

    Returns:
        Dict of `format`, `backbone` (class), `modalities`, `signatures` (modality, level, and
        shapes of the inputs), `labels`, `toc`, `codebook`, `limits`, `versions` and `extra`.

    Raises:
        ValueError: if `labels` has another length than the probes have classes.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> metadata_of(ServedSystem(backbone))["signatures"]["encode_audio"]["inputs"]
    {'audio': [None, None, 128]}
    """
    names = None if labels is None else [str(label) for label in labels]
    for modality, probe in served.probes.items():
        classes = getattr(probe, "num_classes", None)
        if names is not None and classes is not None and len(names) != classes:
            raise ValueError(
                f"`labels` must name the {classes} classes of the probe of {modality!r}. "
                f"Received {len(names)} labels."
            )
    return {
        "format": FORMAT,
        "backbone": type(served.backbone).__name__,
        "modalities": list(served.modalities),
        "signatures": {
            endpoint.name: {
                "modality": endpoint.modality,
                "level": endpoint.level,
                "inputs": {name: list(shape) for name, shape in endpoint.inputs.items()},
            }
            for endpoint in served.endpoints()
        },
        "labels": names,
        "activation": served.activation if served.probes else None,
        "probe_view": served.probe_view if served.probes else None,
        "sample_rates": {
            name: layer.sample_rate
            for name, layer in served.front_ends.items()
            if hasattr(layer, "sample_rate")
        },
        "toc": _toc(served.toc),
        "codebook": _codebook(served.backbone),
        "limits": dict(limits or {}),
        "versions": {
            "keras_cmg": __version__,
            "keras": keras.__version__,
            "engine": keras.backend.backend(),
        },
        "extra": dict(extra or {}),
    }


def _toc(toc: Any) -> dict[str, Any] | None:
    if toc is None:
        return None
    settings = {key: getattr(toc, key, None) for key in ("mode", "criterion", "variance_weight")}
    return {"channels": toc.channel_indices.tolist(), **settings}


def _codebook(backbone: Backbone) -> dict[str, Any] | None:
    quantizer = backbone.quantizer
    if quantizer is None:
        return None
    size, dim = backbone.num_embeddings, backbone.embedding_dim
    shape = getattr(quantizer, "index_shape", ())
    # Large implicit codebooks are not built.
    codebook = backbone.codebook if size * dim <= MAX_CODEBOOK else None
    return {
        "num_embeddings": size,
        "embedding_dim": dim,
        "index_shape": list(shape),
        "sha256": None if codebook is None else sha256_of_array(codebook.astype("float32")),
    }


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the metadata of an exported folder.

    Args:
        path: a SavedModel, or a folder of ONNX or LiteRT files.

    Returns:
        The dict of `metadata_of`.

    Raises:
        FileNotFoundError: if the folder has no metadata.
        ValueError: if the metadata are damaged, or of another format.

    Example:

    >>> read_metadata("no-such-folder")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no metadata.json in no-such-folder.
    """
    for file in (Path(path) / METADATA, Path(path) / "assets" / METADATA):
        if file.is_file():
            with reading(file, "describe an exported model"):
                found = read_record(file, {})
                if found.get("format") != FORMAT:
                    raise ValueError(
                        f"{file} must be of the format {FORMAT!r}. "
                        f"Received: {found.get('format')!r}"
                    )
                return found
    raise FileNotFoundError(f"There is no {METADATA} in {path}.")
