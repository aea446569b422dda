"""Hyperparameters of each model that `compare --trials` and `tune` search, in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras_cmg.optimizers.learning_rates import SCHEDULES
from recipes.training.model_entries import parts

TEMPERATURE = (0.05, 0.1, 0.2, 0.5)
DECAY: dict[str, Sequence[Any]] = {"backbone.quantizer.decay": (0.9, 0.95, 0.99)}
ALIGNMENT: dict[str, Sequence[Any]] = {"temperature": TEMPERATURE, **DECAY}
SHARES = (0.1, 0.2, 0.5, 1.0)
DCID: dict[str, Sequence[Any]] = {
    "loss_weights.club_audio": (0.004, 0.1, 1.0),
    "loss_weights.club_video": (0.004, 0.1, 1.0),
    "loss_weights.club_text": (0.004, 0.1, 1.0),
    "commitment_cost": SHARES,
    **DECAY,
}
DISENTANGLING: dict[str, Sequence[Any]] = {
    "infonce_temperature": TEMPERATURE,
    "loss_weights.infonce": (1.0, 3.0, 10.0),
    "loss_weights.code_matching": (0.0, 0.5, 1.0),
    "fine_club_weight": (0.004, 0.1, 1.0),
    **DECAY,
}

ARGUMENTS: dict[str, dict[str, Sequence[Any]]] = {
    "aha": {
        **ALIGNMENT,
        "window_radius": (0.0, 1.0, 2.0),
        "loss_weights.distillation": SHARES,
        "backbone.num_shared_levels": (1, 2),
    },
    "cmcm": {
        **ALIGNMENT,
        "warm_start_steps": (25, 50, 100),
        "loss_weights.fine_matching": SHARES,
    },
    "codaar": {
        "loss_weights.code_matching": (0.1, 0.5, 1.0, 2.0),
        "backbone.quantizer.own_weight": (0.5, 0.6, 0.8),
        "commitment_cost": SHARES,
        **DECAY,
    },
    "codebind": {
        **ALIGNMENT,
        "loss_weights.commitment": (1.0, 10.0, 50.0),
        "loss_weights.code_matching": SHARES,
        "loss_weights.uniformity": SHARES,
    },
    "codis": {
        "temperature": TEMPERATURE,
        "code_temperature": (0.05, 0.1, 0.2),
        "momentum": (0.9, 0.95, 0.99),
    },
    "dcid": {"loss_weights.code_matching": (0.1, 0.5, 1.0, 2.0), **DCID},
    "fac": ALIGNMENT,
    "fcid": {
        "infonce_temperature": TEMPERATURE,
        "prediction_temperature": (0.05, 0.1, 0.2),
        "loss_weights.segment_infonce": (0.0, 0.3, 1.0, 3.0),
        "loss_weights.code_prediction": (0.3, 1.0, 3.0),
    },
    "fcid:disentangled": DISENTANGLING,
    "fcid:small": DISENTANGLING,
    "fcid:paper_small": {},
    "fcid:paper": {},
    "hdcid": {**DCID, "loss_weights.second_reconstruction": SHARES},
    "micu": {
        "temperature": TEMPERATURE,
        "mask_ratio": (0.15, 0.3, 0.5),
        "loss_weights.jigsaw": SHARES,
        "commitment_cost": SHARES,
        **DECAY,
    },
    "simmmdg": {
        "temperature": TEMPERATURE,
        "loss_weights.distance": SHARES,
        "loss_weights.translation": SHARES,
    },
    "turn": {**ALIGNMENT, "sampling_temperature": (0.5, 1.0, 2.0)},
    "vanilla": ALIGNMENT,
}
"""Model, or `model:preset`, to arguments of the model and the values that are tried. The paper's
equations keep their published weights and temperature."""

COMPARED = ("learning_rate", "schedule", "num_embeddings")
"""Hyperparameters that `compare` searches of every model, besides its arguments: widths and TOC
stay as in the preset, so that models compare."""
NUM_EMBEDDINGS = (64, 128, 400)
"""Numbers of codes that are tried; with fewer, modalities share more of them."""


def arguments_of(entry: str) -> Mapping[str, Sequence[Any]]:
    """Returns the arguments of a model that are searched.

    Args:
        entry: model, or `model:preset`.

    Returns:
        Argument, dots for nesting, to the values that are tried.

    Example:

    >>> list(arguments_of("fac")), list(arguments_of("fcid:paper_small"))
    (['temperature', 'backbone.quantizer.decay'], [])
    """
    model, preset = parts(entry)
    return ARGUMENTS.get(f"{model}:{preset}", ARGUMENTS.get(model, {}))


def known_hyperparameters(entry: str) -> tuple[str, ...]:
    """Returns the names of all hyperparameters that can be searched.

    Args:
        entry: model, or `model:preset`.

    Example:

    >>> known_hyperparameters("fac")[-2:]
    ('temperature', 'backbone.quantizer.decay')
    """
    from keras_cmg.tuning import Space

    fields = [field.name for field in dataclasses.fields(Space) if field.name != "arguments"]
    return (*fields, *arguments_of(entry))


def space_of(entry: str, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the search space of a model, as arguments of `keras_cmg.tuning.Space`.

    Args:
        entry: model, or `model:preset`.
        names: hyperparameters to search; all if None.

    Raises:
        ValueError: if a name is unknown.

    Example:

    >>> space_of("fac", ["temperature"])["arguments"]
    {'temperature': (0.05, 0.1, 0.2, 0.5)}
    """
    from keras_cmg.tuning import Space

    known = known_hyperparameters(entry)
    names = known if names is None else names
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"--hyperparameters must be of {known}. Received: {unknown}")
    defaults = {**vars(Space()), "schedule": SCHEDULES, "num_embeddings": NUM_EMBEDDINGS}
    space = {
        name: values if name in names else ()
        for name, values in defaults.items()
        if name != "arguments"
    }
    chosen = {name: values for name, values in arguments_of(entry).items() if name in names}
    return {**space, "arguments": chosen}
