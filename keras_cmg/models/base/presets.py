"""Presets: name to `"backbone"` and `"objective"`, each a dict of arguments."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from keras_cmg.models.base.configs import is_serialized

Presets = Mapping[str, Mapping[str, Any]]

UNNAMED_CLASS = "Codebook"
"""Class of the quantiser whose arguments have no `class_name`."""
SAME_ARGUMENTS = {"AlignedCodebook", "Codebook"}
"""Quantisers whose arguments remain when one takes the place of another."""


def named(presets: Presets, name: str) -> dict[str, Any]:
    """Returns a copy of the named preset.

    Args:
        presets: name to settings.
        name: one of them.

    Returns:
        Dict with `"backbone"` and `"objective"`.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> named({"small": {"backbone": {"num_embeddings": 8}, "objective": {}}}, "small")
    {'backbone': {'num_embeddings': 8}, 'objective': {}}
    """
    if name not in presets:
        raise ValueError(f"`preset` must be one of {sorted(presets)}. Received: {name!r}")
    return copy.deepcopy(dict(presets[name]))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `base` with `changes`; nested dicts are merged, other values replaced.

    The configuration of a layer replaces what it is for, as a layer does; so does a dict whose
    `class_name` is another than that of the dict it is for, since arguments are those of a class.
    Arguments without `class_name` are those of `Codebook`.

    Args:
        base: dict of settings.
        changes: dict of settings.

    Returns:
        A new dict.

    Example:

    >>> merged({"cpc": {"units": 1, "num_layers": 1}}, {"cpc": {"units": 2}})
    {'cpc': {'units': 2, 'num_layers': 1}}
    """
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        both = both and not is_serialized(value) and not _of_another_class(result[key], value)
        result[key] = merged(result[key], value) if both else value
    return result


def _of_another_class(base: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    before = base.get("class_name", UNNAMED_CLASS)
    after = changes.get("class_name", before)
    return before != after and not {before, after} <= SAME_ARGUMENTS
