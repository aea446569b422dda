"""What is compared: systems by name and preset, and one preset with each of its parts undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras_cmg

BESIDE_DEFAULT = ("small", "paper_small")
"""Presets that are compared beside the default one, where a system has them."""


def all_systems() -> tuple[str, ...]:
    """Every registered system of several modalities, with the presets that are compared.

    Returns:
        Entries, "system" for its default preset or "system:preset".

    Example:

    >>> "dcid" in all_systems() and "fcid:small" in all_systems()
    True
    """
    return tuple(
        entry_of(name, preset)
        for name in keras_cmg.models.list_models()
        if len(keras_cmg.models.create_model(name).backbone.modalities) > 1
        for preset in dict.fromkeys(
            (keras_cmg.models.get_model_class(name).default_preset, *BESIDE_DEFAULT)
        )
        if preset in keras_cmg.models.get_model_class(name).presets
    )


def entry_of(system: str, preset: str) -> str:
    """The entry of a system and a preset: the default preset goes without saying.

    Args:
        system: its name.
        preset: name of the preset.

    Returns:
        "system" or "system:preset".

    Example:

    >>> entry_of("fcid", "plus"), entry_of("fcid", "small"), entry_of("dcid", "small")
    ('fcid', 'fcid:small', 'dcid')
    """
    default = keras_cmg.models.get_model_class(system).default_preset
    return system if preset == default else f"{system}:{preset}"


def parts(entry: str) -> tuple[str, str]:
    """System and preset of an entry.

    Args:
        entry: "system" or "system:preset".

    Returns:
        System and preset.

    Example:

    >>> parts("fcid"), parts("fcid:small"), parts("dcid")
    (('fcid', 'plus'), ('fcid', 'small'), ('dcid', 'small'))
    """
    system, _, preset = entry.partition(":")
    return system, preset or keras_cmg.models.get_model_class(system).default_preset


def ablation(preset: str) -> dict[str, Any]:
    """A preset of FCID, "small", and the preset without each thing that it changes in "small".

    Args:
        preset: name of the preset.

    Returns:
        Name to `entry`, whose tuned settings are used, and `changes`.

    Raises:
        ValueError: for an unknown preset, or one that changes nothing.

    Example:

    >>> list(ablation("plus"))[:3]
    ['small', 'plus', 'plus without backbone.quantize_level']
    """
    presets = keras_cmg.models.FCID.presets
    if preset not in presets:
        raise ValueError(f"--ablate must be one of {sorted(presets)}; received: {preset!r}")
    small, changed = (_arguments(presets[name]) for name in ("small", preset))
    entry = entry_of("fcid", preset)
    without = {
        f"{preset} without {'.'.join(path)}": {
            "entry": entry,
            "changes": _nested(path, small[path]),
        }
        for path in changed
        if changed[path] != small.get(path)
    }
    if not without:
        raise ValueError(f"--ablate must be another preset than small; received: {preset!r}")
    return {
        # Trained as the preset is, so that only the system differs.
        "small": {"entry": entry, "changes": {}, "preset": "small"},
        preset: {"entry": entry, "changes": {}},
        **without,
    }


def _arguments(preset: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Path to value of everything in a preset; paths as in arguments of `from_preset`."""

    def walk(value: Any, path: tuple[str, ...]) -> dict[tuple[str, ...], Any]:
        if not isinstance(value, Mapping):
            return {path: value}
        return {k: v for name in value for k, v in walk(value[name], (*path, name)).items()}

    return {**walk(preset["backbone"], ("backbone",)), **walk(preset["objective"], ())}


def _nested(path: Sequence[str], value: Any) -> Any:
    return {path[0]: _nested(path[1:], value)} if path else value
