"""Loads a saved run by its address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from keras_cmg.encoding.cross_modal_encoder import CrossModalEncoder
from keras_cmg.encoding.hub import download, is_address, is_keras_folder
from keras_cmg.faults import reading
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.records import read_record
from keras_cmg.saved_models import load_model, load_model_folder

MODEL, LABELS, CARD = "model.keras", "labels.txt", "card.json"


def load(
    address: str | os.PathLike[str], models: Mapping[str, str] | None = None
) -> CrossModalEncoder:
    """Loads a trained model with its extractors, labels and model card.

    Args:
        address: folder of a run of `quickstart`, `pretrain` or `train`, a `.keras` file, or
            `hf://USER/NAME`, a model on the Hugging Face hub.
        models: modality to the path of the model file of its extractor, such as
            `{"audio": "yamnet.tflite"}`, where it is not at the recorded place.

    Returns:
        A `keras_cmg.CrossModalEncoder`.

    Raises:
        FileNotFoundError: if there is no model at `address`.
        ImportError: if the hub is addressed and `huggingface_hub` is not installed.
        ValueError: if a file is damaged.

    Example:

    >>> model = keras_cmg.models.FCID.from_preset("small", modalities=("audio", "text"))
    >>> model.build({"audio": (None, 10, 128), "text": (None, 8, 64)})
    >>> model.save("model.keras")
    >>> keras_cmg.load("model.keras").modalities
    ('audio', 'text')
    """
    path = download(str(address)) if is_address(address) else Path(address)
    if is_keras_folder(path) and not (path / MODEL).is_file():
        model, file = load_model_folder(path), path
    else:
        file = path / MODEL if path.is_dir() else path
        if file.suffix != ".keras" or not file.is_file():
            raise FileNotFoundError(
                f"{path} is neither a run with {MODEL} in it nor a .keras file."
            )
        model = load_model(file)
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, Backbone):
        raise ValueError(
            f"{file} must hold a pretrainer or a backbone. Received: {type(model).__name__}"
        )
    if not path.is_dir():
        return CrossModalEncoder(backbone, models=models)
    labels: list[str] = []
    if (path / LABELS).is_file():
        with reading(path / LABELS, "hold a class name per line"):
            labels = (path / LABELS).read_text(encoding="utf-8").splitlines()
    card = read_record(path / CARD, {}) if (path / CARD).is_file() else {}
    return CrossModalEncoder(backbone, labels, card, path, models)
