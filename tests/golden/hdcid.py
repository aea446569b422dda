"""Recomputes what a file of recorded H-DCID numbers holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_cmg.ops import contrastive, quantization
from keras_cmg.reference.names import model_links
from tests.golden import systems
from tests.golden.systems import MODALITIES, Arrays, agreeing_clips

NINE_TERMS = (
    "video->audio", "text->audio", "text->video", "audio->video", "audio->text",
    "video->text", "audio->audio", "video->video", "text->text",
)  # fmt: skip
"""Recorded as target/prediction: a/v, a/t, v/t, v/a, t/a, t/v, a/a, v/v, t/t."""

NEVER = 10**6


def recompute(file: Mapping[str, np.ndarray]) -> Arrays:
    """Every quantity of a file like `hdcid.npz`.

    Args:
        file: name to array.

    Returns:
        Name to our array.

    Raises:
        ValueError: if weights are missing.
    """
    model, batch = systems.model_of(file), systems.batch_of(file)
    quantizer = model.backbone.quantizer
    start = [ops.convert_to_numpy(v) for v in quantizer.variables]

    def restore():
        for variable, value in zip(quantizer.variables, start, strict=True):
            variable.assign(value)

    # The late total, in which the second level counts, and its gradients.
    model.second_level_start_step = 0
    found = _downstream(model, batch)
    inputs = model.prepare_step(batch, training=True)
    losses = model.main_losses(inputs)
    for link in model_links(model):
        if "Cross_quantizer" in link.names[0]:
            found[f"after/{link.names[0]}"] = link.values()[0]
    found |= _outputs(model, inputs, losses, file)
    restore()
    found |= systems.gradients(model, batch)
    restore()
    found |= _early_norms(model, batch)
    return {key: np.asarray(ops.convert_to_numpy(value)) for key, value in found.items()}


def _downstream(model, batch) -> dict[str, Any]:
    """What probes see of H-DCID: both levels, side by side for text."""
    found = {}
    for name in MODALITIES:
        codes = model.backbone.encode(name, batch[name], "segment")
        if name == "text":
            found["downstream/text_concat"] = codes["quantized"]
            continue
        levels = ops.split(codes["quantized"], 2, axis=-1)
        for number, level in enumerate(levels):
            found[f"downstream/{name}_layer{number + 1}"] = level
            index = codes["indices"][..., number]
            found[f"downstream/{name}_layer{number + 1}_indices"] = index
    return found


def _outputs(model, inputs, losses, file) -> dict[str, Any]:
    """Outputs and losses of H-DCID, with the second level's terms."""
    batch, features, backbone = inputs.batch, inputs.features, model.backbone
    found: dict[str, Any] = {
        "out/text_lstm": features["input"]["text"],
        "out/v_pooled": backbone.general_encoders["video"].map_pooling(batch["video"]),
        "out/v_club": features["summary"]["video"],
    }
    margins = []
    for number, (prefix, suffix) in enumerate((("", ""), ("second_", "2"))):
        general = features[f"{prefix}general"]
        commitment = quantization.commitment_loss(general, features[f"{prefix}codes"])
        for name in MODALITIES:
            letter = name[0]
            found[f"out/{letter}_gen{suffix}"] = general[name]
            found[f"out/{letter}_spe{suffix}"] = features[f"{prefix}specific"][name]
            found[f"out/{letter}_vq{suffix}"] = features[f"{prefix}quantized"][name]
            found[f"out/{letter}_indices{suffix}"] = features[f"{prefix}indices"][name]
            found[f"loss/embedding{suffix}_{letter}"] = commitment[name]
            term = f"club_{prefix}{name}"
            x, y, _ = inputs.estimator_pairs[term]
            estimate = model.estimators[term].log_likelihood(x, y)
            found[f"loss/club{suffix}_{name}_loglikeli"] = estimate
            found[f"loss/mi{suffix}_{name}"] = losses[term]
        margins += [_margin(x, file, number) for x in general.values()]
        found[f"out/equal_num{suffix}"] = agreeing_clips(features[f"{prefix}indices"])
        predictor = model.second_cpc_predictor if number else model.cpc_predictor
        time = batch["draws"][f"{prefix}cpc_time"]
        found |= _nine_terms(predictor, general, time, f"cpc{suffix}")
        found[f"loss/cpc{suffix}"] = losses[f"{prefix}cpc"]
        # Constant zero in the authors' code.
        found[f"loss/cmcm{suffix}"] = np.zeros(1)
    found["out/index_margin"] = np.asarray(min(margins))
    for name, decoder in model.decoders.items():
        rebuilt = decoder(features["quantized"][name], features["specific"][name])
        found[f"loss/recon_{name}"] = ops.mean(ops.square(rebuilt - features["input"][name]))
        if name == "video":
            found["out/dec_video_first2"] = rebuilt[:2]
            found["out/dec_video_spatial_sum"] = ops.sum(rebuilt, axis=(2, 3))
        else:
            found[f"out/dec_{name}"] = rebuilt
    for name, decoder in model.second_decoders.items():
        codes, specific = features["second_quantized"][name], features["second_specific"][name]
        rebuilt = found[f"out/dec2_{name}"] = decoder(codes, specific)
        error = ops.mean(ops.square(rebuilt - features["summary"][name]))
        found[f"loss/recon2_{name}"] = error
    early = sum(
        weight * losses[term] for term, weight in model.loss_weights.items()
        if weight and "second" not in term
    )  # fmt: skip
    for kind, total in (("early", early), ("late", losses["loss"])):
        found[f"loss/total_{kind}"] = found[f"loss/total_{kind}_reference_float32"] = total
    return found


def _nine_terms(predictor, features, time, label: str) -> dict[str, Any]:
    """CPC of three modalities at the recorded time."""
    logits = predictor(features, time=time)
    return {
        f"out/{label}_logits": ops.concatenate([logits[pair] for pair in NINE_TERMS]),
        f"out/{label}_accuracy": ops.stack(
            [
                # Unlike in FCID, the best target of each prediction, by the normalised logits.
                contrastive.diagonal_accuracy(ops.log_softmax(logits[pair][-1]), axis=0)
                for pair in NINE_TERMS
            ]
        ),
        f"loss/{label}_terms": ops.stack(
            [contrastive.cpc_loss(logits[pair], "predictions") for pair in NINE_TERMS]
        ),
    }


def _margin(x, file, level: int) -> float:
    """Smallest gap between the nearest and the second nearest code, before the update."""
    codes = np.asarray(file["weights/encoder/Cross_quantizer.embedding"][level], "float64")
    vectors = ops.convert_to_numpy(x).astype("float64").reshape(-1, codes.shape[1])
    two = np.partition(np.square(vectors[:, None] - codes).sum(axis=-1), 1, axis=1)
    return float(np.min(two[:, 1] - two[:, 0]))


def _early_norms(model, batch) -> dict[str, Any]:
    """Norms of the gradients of the total before the second level starts, by module."""
    model.second_level_start_step = NEVER
    found = systems.gradients(model, batch)
    model.second_level_start_step = 0
    return {
        key.replace("grad_l2/", "grad_l2_early/"): value
        for key, value in found.items()
        if key.startswith("grad_l2/") and key.count("/") == 1
    }
