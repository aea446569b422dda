"""Conversion between the authors' weights and models of this library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_cmg.faults import shorten
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.models.fcid import FCIDBackbone
from keras_cmg.models.micu import MICU
from keras_cmg.reference.names import UNUSED, model_links, unused_tensors
from keras_cmg.reference.sizes import MAP_SIZE, model_for


class Summary(NamedTuple):
    """Names of tensors, by how they were handled."""

    mapped: list[str]
    """Written into variables."""
    ignored: list[str]
    """Registered in the reference without effect."""
    unknown: list[str]
    """Not part of the model."""
    missing: list[str]
    """Modules of the pretrainer without tensors; if there are any, the model is a backbone."""

    def __str__(self) -> str:
        lines = [
            f"{len(self.mapped)} tensors mapped",
            f"{len(self.ignored)} ignored (registered by the authors' code, but unused)",
            f"{len(self.unknown)} not part of the model" + _shown(self.unknown),
            f"{len(self.missing)} modules missing" + _shown(self.missing),
        ]
        return "\n".join(lines)


def _shown(names: list[str], most: int = 8) -> str:
    if not names:
        return ""
    shown = ", ".join(shorten(name, 80) for name in names[:most])
    return f": {shown}{', ...' if len(names) > most else ''}"


CLUBS = ("club_audio", "club_video", "club_text")
SECOND = ("cpc2", "club2_audio", "club2_video", "club2_text")


def _modules(model: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Modules of the authors' pretraining: those of the model, and those that train nothing."""
    if isinstance(model, MICU):
        return ("decoder", "jigsaw"), ("cpc", *CLUBS)
    backbone = getattr(model, "backbone", model)
    if isinstance(backbone.quantizer, AlignedCodebook):
        return ("decoder", "cpc"), ()
    if isinstance(backbone, FCIDBackbone):
        return ("decoder", "cpc", *CLUBS, "club_audiovisual"), ()
    return ("decoder", "cpc", *CLUBS, *(SECOND if backbone.second_level else ())), ()


def import_state(
    state: Mapping[str, np.ndarray],
    map_size: tuple[int, int] = MAP_SIZE,
    dtype: Any = None,
    dropout: float = 0.1,
) -> tuple[Any, Summary]:
    """Creates a model with the preset `"reference"` from the authors' weights.

    Args:
        state: name to array, such as `read_state` or `export_state` returns.
        map_size: height and width of feature maps, which the tensors do not determine.
        dtype: dtype policy; default the global one.
        dropout: float, rate of the transformer blocks.

    Returns:
        The pretrainer if there are tensors of all modules, else the backbone; and a `Summary`.

    Raises:
        ValueError: if a tensor of the model is missing or has another shape.

    Example:

    >>> narrow = {"hidden_channels": 4, "channels": 8}
    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("reference", map_specific=narrow)
    >>> shapes = {"audio": (None, 10, 4), "video": (None, 10, 7, 7, 8), "text": (None, 10, 4)}
    >>> backbone.build(shapes)
    >>> again, summary = import_state(export_state(backbone))
    >>> type(again).__name__, len(summary.missing)
    ('FCIDBackbone', 6)
    """
    shapes = {name: np.shape(value) for name, value in state.items()}
    model = model_for(shapes, map_size, dtype, dropout)
    mapped = assign_state(model, state)
    rest = sorted(set(state) - set(mapped))
    modules, idle = _modules(model)
    ignored = [name for name in rest if UNUSED.match(name) or name.split("/")[0] in idle]
    summary = Summary(
        mapped=mapped,
        ignored=ignored,
        unknown=sorted(set(rest) - set(ignored)),
        missing=[
            module for module in modules if not any(name.startswith(f"{module}/") for name in state)
        ],
    )
    return model, summary


def assign_state(model: Any, state: Mapping[str, np.ndarray]) -> list[str]:
    """Writes the authors' weights into a model of matching sizes.

    Args:
        model: built `FCID`, `DCID`, `HDCID`, or a backbone of one.
        state: name to array.

    Returns:
        Names of the tensors used.

    Raises:
        ValueError: if a tensor is missing or has another shape; the model then does not change.

    Example:

    >>> model = keras_cmg.models.FCID.from_preset("small", modalities=("audio", "text"))
    >>> model.build({"audio": (None, 10, 128), "text": (None, 7, 64)})
    >>> len(assign_state(model, export_state(model))) > 50
    True
    """
    links = model_links(model)
    missing = [name for link in links for name in link.names if name not in state]
    if missing:
        raise ValueError(
            f"`state` must hold every tensor of the model. {len(missing)} are missing"
            f"{_shown(missing)}. Received {len(state)} tensors."
        )
    for link in links:
        for name, present in zip(link.names, link.values(), strict=True):
            if np.shape(state[name]) != present.shape:
                raise ValueError(
                    f"{name!r} must have shape {present.shape}. "
                    f"Received: {shorten(np.shape(state[name]), 100)}"
                )
    for link in links:
        link.assign([np.asarray(state[name]) for name in link.names])
    return [name for link in links for name in link.names]


def export_state(model: Any) -> dict[str, np.ndarray]:
    """Returns a model's weights with the authors' names and layout.

    Args:
        model: built `FCID`, `DCID`, `HDCID`, or a backbone of one.

    Returns:
        Name to array; zeros for the tensors that the authors' code registers without using them,
        so that its strict loading succeeds.

    Raises:
        ValueError: if the authors' code does not have the model or one of its modalities.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> export_state(backbone)["encoder/a_self_att.affine_matrix.weight"].shape
    (256, 128)
    """
    links = model_links(model)
    state = {
        name: value for link in links for name, value in zip(link.names, link.values(), strict=True)
    }
    return {**state, **unused_tensors(links)}
