"""Registry of systems by name, for recipes, configs, the tuner and the exporter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from keras_cmg.models.base.pretrainer import Pretrainer

System = TypeVar("System", bound=type[Pretrainer])

_MODELS: dict[str, type[Pretrainer]] = {}


def register_model(name: str) -> Callable[[System], System]:
    """Returns a class decorator that registers a pretrainer under a name.

    Args:
        name: lower-case name, as in configs and on the command line.

    Returns:
        The decorator, which returns the class unchanged.

    Raises:
        ValueError: if the name is not a lower-case identifier or belongs to another class, or
            if the class is no `Pretrainer`.

    Example:

    >>> @keras_cmg.models.register_model("my_fcid")
    ... class MyFCID(keras_cmg.models.FCID):
    ...     pass
    >>> keras_cmg.models.get_model_class("my_fcid").__name__
    'MyFCID'
    """
    if not (isinstance(name, str) and name.isidentifier() and name == name.lower()):
        raise ValueError(f"`name` must be a lower-case identifier. Received: {name!r}")

    def register(cls: System) -> System:
        if not (isinstance(cls, type) and issubclass(cls, Pretrainer)):
            raise ValueError(f"A system must be a subclass of `Pretrainer`. Received: {cls!r}")
        known = _MODELS.get(name)
        # The same definition again, as when a notebook cell is run twice, replaces the first.
        if known and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"The name {name!r} belongs to {known.__module__}.{known.__qualname__} already. "
                f"Received: {cls.__module__}.{cls.__qualname__}"
            )
        _MODELS[name] = cls
        return cls

    return register


def list_models() -> tuple[str, ...]:
    """Returns the names of all registered systems, sorted.

    Returns:
        Tuple of names.

    Example:

    >>> "fcid" in keras_cmg.models.list_models()
    True
    """
    return tuple(sorted(_MODELS))


def get_model_class(name: str) -> type[Pretrainer]:
    """Returns the pretrainer class that is registered under a name.

    Args:
        name: one of `list_models()`.

    Returns:
        A subclass of `Pretrainer`.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> keras_cmg.models.get_model_class("fcid").__name__
    'FCID'
    """
    if name not in _MODELS:
        raise ValueError(f"`name` must be one of {list_models()}. Received: {name!r}")
    return _MODELS[name]


def create_model(
    name: str,
    preset: str | None = None,
    modalities: tuple[str, ...] | None = None,
    seed: int = 0,
    backbone: Mapping[str, Any] | None = None,
    **overrides,
) -> Pretrainer:
    """Makes a system with named settings: `get_model_class(name).from_preset(...)`.

    Args:
        name: one of `list_models()`.
        preset: name of the settings, a key of the system's `presets`, which all have `"small"`; if
            None the system's `default_preset`, `"plus"` of FCID and `"small"` of the others.
        modalities: names; default audio, video and text.
        seed: of the initial codes and of dropout. Other weights follow
            `keras.utils.set_random_seed`.
        backbone: changes to the backbone's settings.
        **overrides: arguments of the pretrainer; dicts are merged into the preset's.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: for an unknown name or preset, or unknown arguments.

    Example:

    >>> keras_cmg.models.create_model("dcid", modalities=("audio", "text")).backbone.modalities
    ('audio', 'text')
    """
    return get_model_class(name).from_preset(
        preset, modalities=modalities, seed=seed, backbone=backbone, **overrides
    )
