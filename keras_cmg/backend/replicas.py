"""What each replica of a data-parallel run hands to the losses: the batch of all replicas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_cmg.backend import engine

OWN = "own"
"""Entry of a gathered batch, and of gathered features, with what is the replica's own."""


def gather_across_replicas(
    model: Any, x: Mapping[str, Any], features: Any
) -> tuple[Mapping[str, Any], Any]:
    """A batch and its features, of all replicas together; as they are on a single device.

    Every loss then is the loss of the global batch, whatever it compares: nothing about it changes
    with the number of devices. Entries in `model.replica_entries` and scalars are not sent around.

    Args:
        model: a `PhasedObjective`.
        x: the replica's part of the batch.
        features: output of the model on it, a dict.

    Returns:
        The batch and the features, with gradients to every replica, and what went in under `OWN`.

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
    """What is the replica's own of a batch, or of features, that `gather_across_replicas` gave.

    Args:
        entries: batch or features.

    Returns:
        Dict of the same names; `entries` itself on a single device.

    Example:

    >>> own({"general": 2})
    {'general': 2}
    """
    return entries.get(OWN, entries)
