"""The family of quantisers at about the same number of codes, as arguments of models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras_cmg
from keras_cmg import layers
from keras_cmg.models.base.configs import serialize_layer

PROJECTED_DIM = 16
"""Length of the codes behind a projection."""
PRESET = "preset"
CODEBOOK = "codebook"
NAMES: dict[str, str] = {
    PRESET: "quantiser of the preset, where it is no Codebook",
    CODEBOOK: "Codebook, moving averages, with the arguments of the preset's",
    "projected": f"Codebook of {PROJECTED_DIM} dimensions behind a projection",
    "learned": "LearnedCodebook",
    "diveq": 'LearnedCodebook, gradient "diveq", no other loss',
    "simvq": "SimVQ",
    "fsq": "FSQ of three channels, projected",
    "lfq": "LFQ, projected",
    "bsq": "BSQ, projected",
    "residual": "ResidualQuantizer of two small codebooks",
    "residual_large": "ResidualQuantizer of two codebooks of the preset's size",
    "grouped": "GroupedQuantizer of two small codebooks",
}
"""Name to what is trained under it."""


def check_quantizers(names: Sequence[str]) -> None:
    """Checks names of quantisers.

    Args:
        names: names.

    Raises:
        ValueError: if one is unknown.

    Example:

    >>> check_quantizers(("fsq", "lfq"))
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"--quantizers must be of {tuple(NAMES)}. Received: {unknown}")


def fsq_levels(num_codes: int) -> tuple[int, ...]:
    """Returns levels of three channels whose product is about a number of codes.

    Args:
        num_codes: at least 8.

    Example:

    >>> fsq_levels(400), fsq_levels(128)
    ((8, 7, 7), (5, 5, 5))
    """
    others = max(3, round(num_codes ** (1 / 3)))
    return max(3, round(num_codes / others**2)), others, others


def quantizer_arguments(
    names: Sequence[str], model: str, preset: str, seed: int
) -> dict[str, dict[str, Any]]:
    """Returns the arguments that give a model each quantiser.

    Args:
        names: of `NAMES`.
        model: name of the model.
        preset: its preset, whose number of codes, dimensions and arguments of `Codebook` are
            taken.
        seed: of initial codes.

    Returns:
        Name to arguments of `keras_cmg.models.create_model`, in types of JSON; none for the
        preset's own quantiser. Where that is a `Codebook`, "preset" is "codebook".

    Example:

    >>> found = quantizer_arguments(("codebook", "fsq"), "fcid", "small", 0)
    >>> found["codebook"], found["fsq"]["backbone"]["quantizer"]["class_name"]
    ({}, 'FSQ')
    """
    backbone = keras_cmg.models.get_model_class(model).presets[preset]["backbone"]
    own = dict(backbone.get("quantizer", {}))
    has_codebook = own.pop("class_name", "Codebook") == "Codebook"
    if has_codebook:
        names = tuple(dict.fromkeys(CODEBOOK if name == PRESET else name for name in names))
    else:
        own = {}
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == (CODEBOOK if has_codebook else PRESET):
            found[name] = {}
            continue
        layer = new_quantizer(
            name,
            backbone["num_embeddings"],
            backbone["embedding_dim"],
            own,
            seed,
        )
        found[name] = {"backbone": {"quantizer": serialize_layer(layer)}}
    return found


def new_quantizer(
    name: str, num_codes: int, dim: int, arguments: Mapping[str, Any], seed: int
) -> layers.Quantizer:
    """Creates a quantiser.

    Args:
        name: of `NAMES`, but for "preset".
        num_codes: number of codes; of grids and combinations the number nearest to it.
        dim: length of a code.
        arguments: further arguments of `Codebook`, where there are any.
        seed: of initial codes.

    Returns:
        A layer, not built.

    Example:

    >>> new_quantizer("residual", 400, 16, {}, 0).index_sizes.tolist()
    [20, 20]
    """
    own: dict[str, Any] = {"name": "codebook", "seed": seed}
    bits, half = round(math.log2(num_codes)), round(math.sqrt(num_codes))
    patience: dict[str, Any] = {"dead_code_patience": arguments.get("dead_code_patience", 300)}

    def levels(size: int) -> layers.Quantizer:
        inner = layers.Codebook(size, dim, **{**arguments, "seed": seed})
        return layers.ResidualQuantizer(inner, num_levels=2, name="codebook")

    makers: dict[str, Callable[[], layers.Quantizer]] = {
        CODEBOOK: lambda: layers.Codebook(num_codes, dim, **{**arguments, **own}),
        "projected": lambda: layers.ProjectedQuantizer(
            layers.Codebook(num_codes, PROJECTED_DIM, **{**arguments, "seed": seed}), dim, **own
        ),
        "learned": lambda: layers.LearnedCodebook(num_codes, dim, **patience, **own),
        "diveq": lambda: layers.LearnedCodebook(
            num_codes,
            dim,
            gradient="diveq",
            codebook_cost=0.0,
            commitment_cost=0.0,
            **patience,
            **own,
        ),
        "simvq": lambda: layers.SimVQ(num_codes, dim, **own),
        "fsq": lambda: layers.FSQ(fsq_levels(num_codes)),
        "lfq": lambda: layers.LFQ(bits, commitment_cost=0.25),
        "bsq": lambda: layers.BSQ(bits),
        "residual": lambda: levels(half),
        "residual_large": lambda: levels(num_codes),
        "grouped": lambda: layers.GroupedQuantizer(
            [
                layers.Codebook(half, size, **{**arguments, "seed": seed + i})
                for i, size in enumerate((dim - dim // 2, dim // 2))
            ],
            name="codebook",
        ),
    }
    return makers[name]()
