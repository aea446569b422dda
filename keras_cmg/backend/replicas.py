"""Gathers the batch and the features of all replicas, on which the losses are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_cmg.backend import engine

OWN = "own"
"""Entry of a gathered batch, and of gathered features, that holds the replica's own rows."""


def gather_across_replicas(
    model: Any, x: Mapping[str, Any], features: Any
) -> tuple[Mapping[str, Any], Any]:
    """Gathers a batch and its features from all replicas; returns both unchanged on one device.

    Losses computed from them are those of the global batch, whatever the number of devices. Entries
    in `model.replica_entries` and scalars are not gathered.

    Args:
        model: a `PhasedObjective`.
        x: the replica's part of the batch.
        features: output of the model on it, a dict.

    Returns:
        The batch and the features, with gradients to every replica. Each holds the replica's own
        entries under `OWN`.

    Example:

    >>> model = keras_cmg.models.FCID(("audio",))
    >>> x, features = gather_across_replicas(model, {"audio": 1}, {"general": 2})
    >>> own(features)
    {'general': 2}
    """
    if engine.current().num_replicas() == 1:
        return x, features

    kept = model.replica_entries
    sent = (
        {name: value for name, value in x.items() if name not in (*kept, "draws")},
        {name: value for name, value in features.items() if name not in kept},
    )
    more_x, more_features = engine.global_batch(sent)
    return {**x, **more_x, OWN: x}, {**features, **more_features, OWN: features}


def own(entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the replica's own part of a batch or of features that were gathered.

    Args:
        entries: batch or features.

    Returns:
        Dict of the same names; `entries` itself on a single device.

    Example:

    >>> own({"general": 2})
    {'general': 2}
    """
    return entries.get(OWN, entries)
