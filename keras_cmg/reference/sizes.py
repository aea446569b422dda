"""Sizes of a model, from the shapes of the authors' tensors."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from keras_cmg.faults import shorten
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.models.base.presets import merged
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.codaar import CoDAAR
from keras_cmg.models.dcid.pretrainer import DCID, DCIDBackbone
from keras_cmg.models.fcid import FCID, FCIDBackbone
from keras_cmg.models.hdcid import HDCID
from keras_cmg.models.micu import MICU
from keras_cmg.reference.names import MODALITIES

Shapes = Mapping[str, tuple[int, ...]]

MAP_SIZE = (7, 7)
"""Height and width of feature maps, those of VGG19's last pooling layer."""


def model_for(
    shapes: Shapes,
    map_size: tuple[int, int] = MAP_SIZE,
    dtype: Any = None,
    dropout: float = 0.1,
) -> Pretrainer | Backbone:
    """Creates a model with the preset `"reference"` and the sizes of the authors' tensors.

    Args:
        shapes: name to shape, names as in `keras_cmg.reference.names`.
        map_size: height and width of feature maps.
        dtype: dtype policy; default the global one.
        dropout: float, rate of the transformer blocks.

    Returns:
        A built pretrainer if there are tensors of all modules, else a built backbone.

    Raises:
        ValueError: if the tensors are of no known system, or one that determines a size is missing.

    Example:

    >>> model_for({"encoder/other.weight": (1, 1)})
    Traceback (most recent call last):
    ValueError: ...
    """
    if "encoder/Cross_quantizer_coarse.embedding" in shapes:
        return _fcid(shapes, map_size, dtype, dropout)
    if "encoder/Cross_quantizer.ema_count_v" in shapes:
        return _codaar(shapes, map_size, dtype, dropout)
    if "encoder/Cross_quantizer.embedding" in shapes:
        levels = len(shapes["encoder/Cross_quantizer.embedding"]) - 1
        return _dcid(shapes, map_size, dtype, dropout, HDCID if levels == 2 else DCID)
    raise ValueError(
        "The tensors must hold a codebook, 'encoder/Cross_quantizer_coarse.embedding' (FCID) or "
        f"'encoder/Cross_quantizer.embedding' (DCID). Received {len(shapes)} tensors, "
        f"such as {shorten(sorted(shapes)[:3])}."
    )


def _fcid(shapes, map_size, dtype, dropout):
    fine = {"video": shape_of(shapes, "encoder/v_gen_encoder.se_layer.0.weight")}
    maps = _map_settings(shapes, "encoder/v_spe_encoder", fine["video"])
    codes, dim = shape_of(shapes, "encoder/Cross_quantizer_coarse.embedding")
    backbone = {
        **maps,
        "num_embeddings": codes,
        "embedding_dim": dim,
        "general": _general(shapes, "encoder/a_self_att", dropout),
        "specific": {"units": shape_of(shapes, "encoder/a_spe_encoder.audio_linear.weight")[0]},
    }
    inputs = {
        "audio": (None, None, shape_of(shapes, "encoder/a_self_att.affine_matrix.weight")[1]),
        "video": (None, None, *map_size, fine["video"][1]),
        "text": (None, None, shape_of(shapes, "encoder/t_self_att.affine_matrix.weight")[1]),
    }
    if not complete(shapes, "decoder", "cpc", "club_audio", "club_video", "club_text",
                    "club_audiovisual"):  # fmt: skip
        model = FCIDBackbone.from_preset("reference", dtype=dtype, **backbone)
    else:
        model = FCID.from_preset(
            "reference",
            dtype=dtype,
            backbone=backbone,
            cpc=_cpc(shapes),
            club={"hidden_units": 2 * shape_of(shapes, "club_audio/p_mu.0.weight")[0]},
            decoder_channels=_decoder_channels(shapes, "decoder/v_fine_decoder"),
        )
    model.build(inputs)
    return model


def _codaar(shapes, map_size, dtype, dropout):
    squeeze = shape_of(shapes, "encoder/video_semantic_encoder.se_layer.0.weight")
    stack = "encoder/video_semantic_encoder.spatial_conv_stack"
    maps = {
        "map_general": {"reduction": squeeze[1] // squeeze[0]},
        "map_specific": {
            "hidden_channels": shape_of(shapes, f"{stack}.0.weight")[0],
            "channels": shape_of(shapes, f"{stack}.3.weight")[0],
        },
    }
    backbone, inputs = _frame_settings(shapes, maps, squeeze, map_size, dropout)
    if complete(shapes, "text_lstm", "decoder", "cpc"):
        model = CoDAAR.from_preset(
            "reference", dtype=dtype, backbone=backbone, cpc=_cpc(shapes), **_decoding(shapes)
        )
    else:
        settings = merged(CoDAAR.presets["reference"]["backbone"], backbone)
        model = DCIDBackbone(dtype=dtype, **settings)
    model.build(inputs)
    return model


def _frame_settings(shapes, maps, squeeze, map_size, dropout):
    """Settings of a backbone, and shapes of inputs, where every modality is a sequence."""
    codes, _ = shape_of(shapes, "encoder/Cross_quantizer.embedding")[-2:]
    units = {
        name: shape_of(shapes, f"encoder/{name.capitalize()}_encoder.{name}_linear.weight")[0]
        for name in ("audio", "text")
    }
    backbone = {
        **maps,
        "num_embeddings": codes,
        "embedding_dim": shape_of(shapes, "encoder/audio_self_att.affine_matrix.weight")[0],
        "general": _general(shapes, "encoder/audio_self_att", dropout),
        "specific": {name: {"units": width} for name, width in units.items()},
    }
    text = shape_of(shapes, "encoder/text_self_att.affine_matrix.weight")[1]
    if complete(shapes, "text_lstm"):
        gates, text = shape_of(shapes, "text_lstm/weight_ih_l0")
        layers = _count(shapes, r"text_lstm/weight_ih_l(\d+)")
        backbone["recurrent"] = {"text": {"units": gates // 4, "num_layers": layers}}
    else:
        backbone["recurrent"] = {"text": None}
    inputs = {
        "audio": (None, None, shape_of(shapes, "encoder/audio_self_att.affine_matrix.weight")[1]),
        "video": (None, None, *map_size, squeeze[1]),
        "text": (None, None, text),
    }
    return backbone, inputs


def _dcid(shapes, map_size, dtype, dropout, system):
    squeeze = shape_of(shapes, "encoder/video_semantic_encoder.se_layer.0.weight")
    maps = _map_settings(shapes, "encoder/Video_encoder", squeeze)
    backbone, inputs = _frame_settings(shapes, maps, squeeze, map_size, dropout)
    estimated = ["cpc", *(f"club_{name}" for name in MODALITIES)]
    if system is HDCID:
        estimated += ["cpc2", *(f"club2_{name}" for name in MODALITIES)]
    settings: dict[str, Any] = {}
    if complete(shapes, *estimated):
        settings["cpc"] = _cpc(shapes)
        settings["club"] = {"hidden_units": 2 * shape_of(shapes, "club_audio/p_mu.0.weight")[0]}
    if complete(shapes, "text_lstm", "decoder", "jigsaw"):
        model = MICU.from_preset(
            "reference",
            dtype=dtype,
            backbone=backbone,
            jigsaw=_jigsaw(shapes),
            **settings,
            **_decoding(shapes),
        )
    elif complete(shapes, "text_lstm", "decoder", *estimated):
        model = system.from_preset(
            "reference", dtype=dtype, backbone=backbone, **settings, **_decoding(shapes)
        )
    else:
        preset = merged(system.presets["reference"]["backbone"], backbone)
        model = DCIDBackbone(dtype=dtype, **preset)
    model.build(inputs)
    return model


def _decoding(shapes):
    head = "decoder/audio_semantic_decoder.event_classifier.weight"
    return {
        "decoder_channels": _decoder_channels(shapes, "decoder/Video_decoder"),
        "num_event_classes": shapes[head][0] if head in shapes else None,
    }


def _jigsaw(shapes):
    """The weights have the number of orders but not the orders: all, or the first ones."""
    orders = shape_of(shapes, "jigsaw/enc_net.2.weight")[0]
    pieces = next(n for n in itertools.count(2) if math.factorial(n) >= orders)
    return {
        "num_pieces": pieces,
        "order_indices": tuple(range(orders)),
        "hidden_units": shape_of(shapes, "jigsaw/enc_net.0.weight")[0],
    }


def shape_of(shapes: Shapes, name: str) -> tuple[int, ...]:
    """Shape of a tensor that must be there."""
    if name not in shapes:
        raise ValueError(
            f"The tensors must hold {name!r}. Received {len(shapes)} others: cut short, or of "
            "another system?"
        )
    return tuple(shapes[name])


def complete(shapes: Shapes, *modules: str) -> bool:
    """Whether there are tensors of each of the modules."""
    return all(any(name.startswith(f"{module}/") for name in shapes) for module in modules)


def _map_settings(shapes, specific, squeeze):
    hidden = shape_of(shapes, f"{specific}.conv_stack.0.weight")[0]
    channels = shape_of(shapes, f"{specific}.conv_stack.2.weight")[0]
    return {
        "map_general": {"reduction": squeeze[1] // squeeze[0]},
        "map_specific": {"hidden_channels": hidden, "channels": channels},
    }


def _general(shapes, prefix, dropout):
    return {
        "dropout": dropout,
        "num_layers": _count(shapes, rf"{prefix}\.encoder\.layers\.(\d+)\.linear1\.weight"),
        "feedforward_units": shape_of(shapes, f"{prefix}.encoder.layers.0.linear1.weight")[0],
    }


def _cpc(shapes):
    return {
        "units": shape_of(shapes, "cpc/audio_ar_lstm.weight_hh_l0")[1],
        "num_layers": _count(shapes, r"cpc/audio_ar_lstm\.weight_hh_l(\d+)"),
        "num_prediction_steps": _count(shapes, r"cpc/audio_predictors\.(\d+)\.weight"),
    }


def _decoder_channels(shapes, prefix):
    return shape_of(shapes, f"{prefix}.inverse_conv_block.0.weight")[1]


def _count(shapes, pattern):
    return sum(1 for name in shapes if re.fullmatch(pattern, name))
