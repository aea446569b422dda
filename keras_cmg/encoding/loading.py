"""Loads a saved run by its address."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from keras_cmg.encoding.cross_modal_encoder import CrossModalEncoder
from keras_cmg.faults import reading
from keras_cmg.files import read_json
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.saved_models import load_model

MODEL, LABELS, CARD = "model.keras", "labels.txt", "card.json"


def load(
    address: str | os.PathLike[str], models: Mapping[str, str] | None = None
) -> CrossModalEncoder:
    """Loads a trained model with its extractors, labels and model card.

    Args:
        address: folder of a run of `quickstart`, `pretrain` or `train`, or a `.keras` file.
        models: modality to the path of the model file of its extractor, such as
            `{"audio": "yamnet.tflite"}`, where it is not at the recorded place.

    Returns:
        A `keras_cmg.CrossModalEncoder`.

    Raises:
        FileNotFoundError: if there is no model at `address`.
        ValueError: if a file is damaged.

    Example:

    >>> model = keras_cmg.models.FCID.from_preset("small", modalities=("audio", "text"))
    >>> model.build({"audio": (None, 10, 128), "text": (None, 8, 64)})
    >>> model.save("model.keras")
    >>> keras_cmg.load("model.keras").modalities
    ('audio', 'text')
    """
    path = Path(address)
    file = path / MODEL if path.is_dir() else path
    if file.suffix != ".keras" or not file.is_file():
        raise FileNotFoundError(f"{path} is neither a run with {MODEL} in it nor a .keras file.")
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
    card = read_json(path / CARD) if (path / CARD).is_file() else {}
    return CrossModalEncoder(backbone, labels, card, path, models)
