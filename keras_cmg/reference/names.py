"""The correspondence of tensors of the authors' code and variables, one function per system.

Names are `<module>/<name in the module's state dict>`, such as
`encoder/va2vat.linear.weight`; the modules are `encoder`, `decoder`, `cpc` and `club_<pair>`, and
of H-DCID's second level `cpc2` and `club2_<modality>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_cmg.layers.batch_norm_map_encoder import BatchNormMapEncoder
from keras_cmg.layers.map_attention import MapAttention
from keras_cmg.layers.map_specific_encoder import MapSpecificEncoder
from keras_cmg.layers.projected_decoder import ProjectedDecoder
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.models.dcid import DCID, DCIDBackbone
from keras_cmg.models.fcid import FCID, FCIDBackbone
from keras_cmg.models.hdcid import HDCID
from keras_cmg.models.micu import MICU
from keras_cmg.reference import links
from keras_cmg.reference.links import Link

MODALITIES = ("audio", "video", "text")

UNUSED = re.compile(
    r"encoder/\w+_self_att(_2)?\.encoder_layer\."
    r"|encoder/(v_gen|video_semantic)_encoder\.(affine_video_ave|affine_video_self|ave_v_att)\."
    r"|encoder/.*\.num_batches_tracked$"
)
"""Tensors without effect on the authors' computation: the template that each transformer copies its
blocks from, the attention whose softmax has one element, and the counter of batch normalisation."""


def model_links(model: Any) -> list[Link]:
    """Returns the links of any system of the authors' code.

    Args:
        model: built `FCID`, `DCID`, `HDCID`, or a backbone of one.

    Returns:
        Links, in the reference's order of modules.

    Raises:
        ValueError: if the model is of another class, is not built, or has other modalities.

    Example:

    >>> model_links(keras_cmg.models.LinearProbe(3))
    Traceback (most recent call last):
    ValueError: ...
    """
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, FCIDBackbone | DCIDBackbone):
        raise ValueError(
            "`model` must be FCID, DCID, HDCID, or a backbone of one. "
            f"Received: {type(model).__name__}"
        )
    if not model.built:
        raise ValueError("`model` must be built. Received a model without weights.")
    check_modalities(backbone.modalities)
    if isinstance(backbone, FCIDBackbone):
        return fcid_links(model)
    return hdcid_links(model) if backbone.second_level else dcid_links(model)


def fcid_links(model: Any) -> list[Link]:
    """Returns the links of an FCID pretrainer or backbone.

    Args:
        model: built `FCID` or `FCIDBackbone` of modalities among audio, video and text.

    Returns:
        Links, in the reference's order of modules.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> fcid_links(backbone)[0].names
    ('encoder/Cross_quantizer_coarse.embedding',)
    """
    backbone = getattr(model, "backbone", model)
    found = list(quantizer_links("encoder/Cross_quantizer_coarse", backbone.quantizer))
    for name in backbone.modalities:
        letter = name[0]
        found += general_links(f"encoder/{letter}_self_att", backbone.general_encoders[name])
        if isinstance(backbone.general_encoders[name], MapAttention):
            found += pooling_links(
                "encoder/v_gen_encoder", backbone.general_encoders[name].map_pooling
            )
        if name in backbone.fine:
            found += specific_links(
                f"encoder/{letter}_spe_encoder", backbone.fine_specific_encoders[name], name
            )
    level = backbone.coarse_level
    for group, members in level.groups.items():
        prefix = "va" if members == backbone.fine else group[0]
        found += links.dense(f"encoder/{prefix}2vat.linear", level.projectors[group].dense)
        for kind, layers in (
            ("gen", level.general_encoders),
            ("spe", level.specific_encoders),
        ):
            found += links.dense(f"encoder/{prefix}_{kind}_encoder.input_linear", layers[group])
    if isinstance(model, FCID):
        for name, decoder in model.fine_decoders.items():
            found += decoder_links(f"decoder/{name[0]}_fine_decoder", decoder, name)
        for name, decoder in model.coarse_decoders.items():
            prefix = f"decoder/{name[0]}_coarse_decoder.simple"
            found += links.dense(f"{prefix}_linear", decoder.inner)
            found += links.dense(f"{prefix}_rec", decoder.output_layer)
        if "cpc" in model.loss_names:
            found += cpc_links(model.cpc_predictor)
        for term, estimator in model.estimators.items():
            found += estimator_links(term, estimator)
    return found


def dcid_links(model: Any) -> list[Link]:
    """Returns the links of a DCID pretrainer or backbone.

    Args:
        model: built `DCID` or `DCIDBackbone` of modalities among audio, video and text.

    Returns:
        Links, in the reference's order of modules.

    Example:

    >>> backbone = keras_cmg.models.DCIDBackbone(("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> dcid_links(backbone)[0].names
    ('encoder/Cross_quantizer.embedding',)
    """
    backbone = getattr(model, "backbone", model)
    aligned = isinstance(backbone.quantizer, AlignedCodebook)
    quantizer = aligned_quantizer_links if aligned else quantizer_links
    found = list(quantizer("encoder/Cross_quantizer", backbone.quantizer))
    found += dcid_encoder_links(backbone)
    if isinstance(model, DCID):
        found += dcid_decoder_links(model)
        for name, head in model.event_heads.items():
            prefix = f"decoder/{name}_semantic_decoder"
            found += links.dense(f"{prefix}.linear", head.inner)
            found += links.dense(f"{prefix}.event_classifier", head.classifier)
        if "cpc" in model.loss_names:
            found += cpc_links(model.cpc_predictor)
        for term, estimator in model.estimators.items():
            found += estimator_links(term, estimator)
    if isinstance(model, MICU) and "jigsaw" in model.loss_names:
        found += links.dense("jigsaw/enc_net.0", model.jigsaw_classifier.mlp.hidden)
        found += links.dense("jigsaw/enc_net.2", model.jigsaw_classifier.mlp.output_layer)
    return found


def hdcid_links(model: Any) -> list[Link]:
    """Returns the links of an H-DCID pretrainer or its backbone.

    Args:
        model: built `HDCID`, or a `DCIDBackbone` with a second level, of modalities among audio,
            video and text.

    Returns:
        Links, in the reference's order of modules.

    Example:

    >>> model = keras_cmg.models.HDCID.from_preset("small", modalities=("audio", "text"))
    >>> model.build({"audio": (None, 10, 128), "text": (None, 7, 64)})
    >>> links = hdcid_links(model)
    >>> [value.shape for value in links[0].values()]
    [(2, 400, 256)]
    """
    backbone = getattr(model, "backbone", model)
    prefix = "encoder/Cross_quantizer"
    levels = [quantizer_links(prefix, part) for part in backbone.quantizer.quantizers]
    found = [links.stacked(pair) for pair in zip(*levels, strict=True)]
    found += dcid_encoder_links(backbone)
    second = backbone.second
    for name in backbone.modalities:
        found += general_links(f"encoder/{name}_self_att_2", second.general_encoders[name])
        encoder = f"encoder/{name.capitalize()}_encoder_2.input_linear"
        found += links.dense(encoder, second.specific_encoders[name].dense)
    if isinstance(model, HDCID):
        found += dcid_decoder_links(model)
        for name, decoder in model.second_decoders.items():
            prefix = f"decoder/{name.capitalize()}_decoder_2.simple"
            found += links.dense(f"{prefix}_linear", decoder.inner)
            found += links.dense(f"{prefix}_rec", decoder.output_layer)
        if "cpc" in model.loss_names:
            found += cpc_links(model.cpc_predictor)
        if "second_cpc" in model.loss_names:
            found += cpc_links(model.second_cpc_predictor, "cpc2")
        for term, estimator in model.estimators.items():
            found += estimator_links(term.replace("club_second_", "club2_"), estimator)
    return found


def dcid_encoder_links(backbone: Any) -> list[Link]:
    """Links of the encoders of DCID, and of the first level of H-DCID."""
    found: list[Link] = []
    for name, context in backbone.contexts.items():
        for i, pair in enumerate(zip(context.forwards, context.backwards, strict=True)):
            for layer, suffix in zip(pair, (f"l{i}", f"l{i}_reverse"), strict=True):
                found += links.lstm(f"{name}_lstm/", layer.cell, suffix)
    for name in backbone.modalities:
        found += general_links(f"encoder/{name}_self_att", backbone.general_encoders[name])
        if isinstance(backbone.general_encoders[name], MapAttention):
            found += pooling_links(
                f"encoder/{name}_semantic_encoder", backbone.general_encoders[name].map_pooling
            )
        specific = backbone.specific_encoders[name]
        if isinstance(specific, BatchNormMapEncoder):
            prefix = f"encoder/{name}_semantic_encoder.spatial_conv_stack"
            found += batch_norm_links(prefix, specific)
        else:
            found += specific_links(f"encoder/{name.capitalize()}_encoder", specific, name)
    return found


def dcid_decoder_links(model: Any) -> list[Link]:
    """Links of the decoders of DCID, and of the first level of H-DCID."""
    found: list[Link] = []
    for name, decoder in model.decoders.items():
        prefix = f"decoder/{name.capitalize()}_decoder"
        if isinstance(decoder, ProjectedDecoder):
            found += links.dense(f"{prefix}.{name}_linear_1", decoder.projection)
            decoder = decoder.decoder
        found += decoder_links(prefix, decoder, name)
    return found


def check_modalities(modalities: tuple[str, ...]) -> None:
    """Raises an error for modalities without names in the reference."""
    unknown = [name for name in modalities if name not in MODALITIES]
    if unknown:
        raise ValueError(
            f"Reference weights exist for the modalities {MODALITIES}. Received: {unknown}"
        )


def quantizer_links(prefix: str, codebook: Any) -> Iterator[Link]:
    yield links.same(f"{prefix}.embedding", codebook.codebook)
    yield links.same(f"{prefix}.ema_count", codebook.ema_counts)
    yield links.same(f"{prefix}.ema_weight", codebook.ema_sums)
    yield links.same(f"{prefix}.unactivated_count", codebook.steps_since_used)


def aligned_quantizer_links(prefix: str, codebook: Any) -> Iterator[Link]:
    """Those of `AlignedCodebook`; the sum of the counts is written and not read."""
    yield links.same(f"{prefix}.embedding", codebook.codebook)
    yield links.same(f"{prefix}.ema_weight", codebook.ema_sums)
    letters = [name[0] for name in codebook.modalities]
    yield Link(
        (*(f"{prefix}.ema_count_{letter}" for letter in letters), f"{prefix}.ema_count"),
        (codebook.ema_counts,),
        lambda *counts: (np.stack(counts[:-1]),),
        lambda counts: (*counts, counts.sum(axis=0)),
    )
    yield links.same(f"{prefix}.unactivated_count", codebook.steps_since_used)


def batch_norm_links(prefix: str, encoder: Any) -> Iterator[Link]:
    pairs = zip(encoder.convolutions, encoder.normalizations, strict=True)
    for i, (convolution, normalization) in enumerate(pairs):
        yield from links.conv(f"{prefix}.{3 * i}", convolution)
        yield from links.batch_norm(f"{prefix}.{3 * i + 1}", normalization)


def general_links(prefix: str, encoder: Any) -> Iterator[Link]:
    yield from links.dense(f"{prefix}.affine_matrix", encoder.projection)
    for i, block in enumerate(encoder.blocks):
        yield from links.transformer(f"{prefix}.encoder.layers.{i}", block)


def pooling_links(prefix: str, pooling: Any) -> Iterator[Link]:
    yield from links.dense(f"{prefix}.se_layer.0", pooling.squeeze)
    yield from links.dense(f"{prefix}.se_layer.2", pooling.excite)
    if pooling.pooling == "attention":
        yield from links.dense(f"{prefix}.affine_video_ave", pooling.mean_query)
        yield from links.dense(f"{prefix}.affine_video_self", pooling.position_key)
        yield from links.dense(f"{prefix}.ave_v_att", pooling.position_score)


def specific_links(prefix: str, encoder: Any, modality: str) -> Iterator[Link]:
    if not isinstance(encoder, MapSpecificEncoder):
        yield from links.dense(f"{prefix}.{modality}_linear", encoder.dense)
        return
    for i, layer in zip((0, 2, 4), encoder.stack[:3], strict=True):
        yield from links.conv(f"{prefix}.conv_stack.{i}", layer)
    yield from links.residual(f"{prefix}.conv_stack.5", encoder.stack[3])
    yield from links.dense(f"{prefix}.feed_forward.0", encoder.summary_hidden)
    yield from links.dense(f"{prefix}.feed_forward.2", encoder.summary_output)


def decoder_links(prefix: str, decoder: Any, modality: str) -> Iterator[Link]:
    if not hasattr(decoder, "spread"):
        yield from links.dense(f"{prefix}.{modality}_linear", decoder.inner)
        yield from links.dense(f"{prefix}.{modality}_rec", decoder.output_layer)
        return
    first, unit, second, last = decoder.stack
    yield from links.dense(f"{prefix}.{modality}_linear", decoder.spread)
    yield from links.conv(f"{prefix}.inverse_conv_block.0", first)
    yield from links.residual(f"{prefix}.inverse_conv_block.1", unit)
    yield from links.conv(f"{prefix}.inverse_conv_block.2", second)
    yield from links.conv(f"{prefix}.inverse_conv_block.4", last)


def cpc_links(cpc: Any, module: str = "cpc") -> Iterator[Link]:
    for name, layers in cpc.contexts.items():
        for i, layer in enumerate(layers):
            yield from links.lstm(f"{module}/{name}_ar_lstm.", layer.cell, f"l{i}")
        for r, predictor in enumerate(cpc.predictors[name]):
            yield from links.dense(f"{module}/{name}_predictors.{r}", predictor)


def estimator_links(module: str, estimator: Any) -> Iterator[Link]:
    networks = ("p_mu", "p_logvar")
    for i, (kernel, bias) in enumerate(zip(estimator.kernels, estimator.biases, strict=True)):
        names = [f"{module}/{network}.{2 * i}" for network in networks]
        yield from links.split_dense(names, kernel, bias)


def unused_tensors(found: list[Link]) -> dict[str, np.ndarray]:
    """Returns zeros for the tensors that the reference registers without using them.

    Args:
        found: links of a model.

    Returns:
        Name to array of the shape the reference expects, so that its strict loading succeeds.
    """
    zeros = {}
    present = {name for link in found for name in link.names}
    for link in found:
        for name, value in zip(link.names, link.values(), strict=True):
            if ".encoder.layers.0." in name:
                template = name.replace(".encoder.layers.0.", ".encoder_layer.")
                zeros[template] = np.zeros_like(value)
            prefix, squeeze, _ = name.partition(".se_layer.0.weight")
            if squeeze and f"{prefix}.ave_v_att.weight" not in present:
                zeros.update(_inert_attention(prefix, value))
            if name.endswith(".running_mean"):
                counter = name.replace("running_mean", "num_batches_tracked")
                zeros[counter] = np.zeros((), "int64")
    return zeros


def _inert_attention(prefix: str, squeeze: np.ndarray) -> dict[str, np.ndarray]:
    channels = squeeze.shape[1]
    width = channels // 2
    shapes = {
        "affine_video_ave.weight": (width, channels),
        "affine_video_ave.bias": (width,),
        "affine_video_self.weight": (width, channels),
        "affine_video_self.bias": (width,),
        "ave_v_att.weight": (1, width),
        "ave_v_att.bias": (1,),
    }
    return {f"{prefix}.{name}": np.zeros(s, squeeze.dtype) for name, s in shapes.items()}
