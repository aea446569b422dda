"""Recomputes what a file of recorded MICU numbers holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.jigsaw_classifier import JigsawClassifier
from keras_cmg.models.micu import MICU
from keras_cmg.ops import code_matching, contrastive, jigsaw, masked_contrast, quantization
from keras_cmg.reference import links
from keras_cmg.reference.convert import assign_state
from keras_cmg.reference.names import quantizer_links
from tests.golden import systems
from tests.golden.codebook import smallest_margin

Arrays = dict[str, np.ndarray]
MODALITIES = systems.MODALITIES


def recompute(file: Mapping[str, np.ndarray], brief: bool = False) -> Arrays:
    """Every quantity of a file like `micu.npz`.

    Args:
        file: name to array.
        brief: whether to recompute one step's forward passes alone.

    Returns:
        Name to our array.

    Raises:
        ValueError: if weights are missing.
    """
    model = _with_settings(
        systems.model_of(file), file, jigsaw={"order_indices": file["rand/jigsaw_indices"]}
    )
    batch = systems.batch_of(file)
    batch["draws"] |= {
        "mask_uniform": ops.convert_to_tensor(file["rand/mask_uniform"]),
        "jigsaw_parts": ops.convert_to_tensor(file["rand/jigsaw_parts"], dtype="int32"),
    }
    quantizer = model.backbone.quantizer
    start = [ops.convert_to_numpy(v) for v in quantizer.variables]

    def restore():
        for variable, value in zip(quantizer.variables, start, strict=True):
            variable.assign(value)

    inputs = model.prepare_step(batch, training=True)
    losses = model.main_losses(inputs)
    found = _outputs(model, inputs, losses)
    for link in quantizer_links("after/encoder/Cross_quantizer", quantizer):
        found[link.names[0]] = link.values()[0]
    restore()
    if not brief:
        found |= _downstream(model, batch)
        restore()
        found |= _first_pass(model, batch)
        restore()
        found |= _logged_terms(model, batch, file)
        found |= _puzzles(model, inputs, file)
        found |= systems.gradients(model, batch)
    return {key: np.asarray(ops.convert_to_numpy(value)) for key, value in found.items()}


def _with_settings(model: MICU, file, **changes) -> MICU:
    """The same model with other settings, and with the weights of the file."""
    config = model.get_config()
    for name, value in changes.items():
        config[name] = {**config[name], **value}
    changed = MICU.from_config(config)
    changed.build(model.backbone.feature_shapes)
    assign_state(changed, systems.state_of(file))
    return changed


def _downstream(model, batch) -> dict[str, Any]:
    """Codes as the authors' look-up gives them, which sets code 0 to zero."""
    codebook = model.backbone.quantizer.codebook
    codes = np.array(ops.convert_to_numpy(codebook))
    codes[0] = 0
    codebook.assign(codes)
    found = {}
    for name in MODALITIES:
        encoded = model.backbone.encode(name, batch[name])
        found[f"downstream/{name}"] = encoded["quantized"]
        found[f"downstream/{name}_indices"] = encoded["indices"]
    return found


def _first_pass(model, batch) -> dict[str, Any]:
    """The pass whose losses the authors' loop drops."""
    backbone, found = model.backbone, {}
    codebook = ops.copy(ops.convert_to_tensor(backbone.quantizer.codebook))
    features = backbone(batch, training=True)
    found |= _codes(features, "pass1")
    for name, codes in features["quantized"].items():
        found[f"out/pass1_{name[0]}_vq"] = codes
    found["loss/pass1_cmcm"] = code_matching.code_matching_loss(
        features["general"], codebook, "reference"
    )
    for link in quantizer_links("after_pass1/encoder/Cross_quantizer", backbone.quantizer):
        found[link.names[0]] = link.values()[0]
    return found


def _codes(features, label) -> dict[str, Any]:
    found = {f"out/{label}_{m[0]}_indices": i for m, i in features["indices"].items()}
    found[f"out/{label}_equal_num"] = systems.agreeing_clips(features["indices"])
    commitment = quantization.commitment_loss(features["general"], features["codes"])
    return found | {f"loss/{label}_embedding_{m[0]}": loss for m, loss in commitment.items()}


def _outputs(model, inputs, losses) -> dict[str, Any]:
    """Outputs and terms of the total: contrast and puzzles of the first pass, the rest of the
    second."""
    batch, features = inputs.batch, inputs.features
    found = _codes(features, "pass2")
    found |= {
        key.replace("pass2_", ""): value
        for key, value in found.items()
        if key.startswith("loss/pass2_embedding")
    }
    found["out/text_lstm"] = features["input"]["text"]
    found["out/v_pooled"] = model.backbone.general_encoders["video"].map_pooling(batch["video"])
    found["out/v_club"] = features["summary"]["video"]
    for name, decoder in model.decoders.items():
        letter = name[0]
        found[f"out/{letter}_gen"] = features["general"][name]
        found[f"out/{letter}_spe"] = features["specific"][name]
        rebuilt = decoder(features["quantized"][name], features["specific"][name])
        found |= reconstruction(name, rebuilt, features["input"][name])
    kept = {m: ops.cast(batch["draws"]["mask_uniform"] > 0.3, "float32") for m in MODALITIES}
    fine, coarse = _contrast_terms(features["first_general"], kept)
    found["loss/infonce_fine_terms"], found["loss/infonce_coarse_terms"] = fine, coarse
    for key, term in {
        "infonce_fine": "masked_frame_infonce",
        "infonce_fine_reference_float32": "masked_frame_infonce",
        "infonce_coarse": "masked_clip_infonce",
        "jigsaw": "jigsaw",
        "total": "loss",
        "total_reference_float32": "loss",
    }.items():
        found[f"loss/{key}"] = losses[term]
    return found


def reconstruction(name, rebuilt, target) -> dict[str, Any]:
    """The recorded parts of a reconstruction, and its loss."""
    found = {f"loss/recon_{name}": ops.mean(ops.square(rebuilt - target))}
    if len(rebuilt.shape) == 3:
        return {f"out/dec_{name}": rebuilt, **found}
    found[f"out/dec_{name}_first2"] = rebuilt[:2]
    found[f"out/dec_{name}_spatial_sum"] = ops.sum(rebuilt, axis=(2, 3))
    return found


def _contrast_terms(general, kept):
    """The masked contrast of each pair of modalities, of each clip and of the batch."""
    fine, coarse = [], []
    for a in MODALITIES:
        query = masked_contrast.mask_frames(general[a], kept[a])
        for b in MODALITIES:
            logits = contrastive.cosine_logits(query, general[b], 0.1)
            fine.append(ops.mean(contrastive.pair_cross_entropies(logits)[0], axis=-1))
            pair = (ops.mean(x, axis=1) for x in (query, general[b]))
            coarse.append(contrastive.info_nce(*pair, 0.1))
    return ops.stack(fine, axis=1), ops.stack(coarse)


def _logged_terms(model, batch, file) -> dict[str, Any]:
    """The terms of DCID, which the authors' loop computes and does not train by."""
    weights = dict.fromkeys(model.loss_weights, 1.0)
    every = _with_settings(model, file, loss_weights=weights)
    inputs = every.prepare_step(batch, training=True)
    losses = every.main_losses(inputs)
    general = inputs.features["general"]
    second = dataclasses.replace(inputs, code_tables=inputs.features["code_tables"])
    found = systems.shared_outputs(every, second, general, "")
    found |= {f"loss/mi_{m}": losses[f"club_{m}"] for m in MODALITIES}
    found |= {"loss/cpc": losses["cpc"]}
    found |= {f"loss/{key}": losses["code_matching"] for key in ("cmcm", "pass2_cmcm")}
    margins = [
        smallest_margin(codes, x)
        for codes in (inputs.code_tables[0], inputs.features["code_tables"][0])
        for x in general.values()
    ]
    found["out/index_margin"] = min(margins)
    return found | systems.dcid_cpc(every, general, file, normalize=False)


def _puzzles(model, inputs, file) -> dict[str, Any]:
    """The puzzles of the loop, and those of four pieces."""
    quantized = inputs.features["first_quantized"]
    found = {}
    found["out/jigsaw_logits"], puzzles = _puzzle(model.jigsaw_classifier, quantized, file, "")
    found["out/jigsaw_input_head"] = ops.concatenate([puzzles[0, :2], puzzles[1, :2]])
    splits = int(file["config/alt_splits"])
    other = JigsawClassifier(
        splits,
        order_indices=file["rand/alt_jigsaw_indices"],
        hidden_units=int(file["config/jigsaw_hidden"]),
        dtype=keras.config.floatx(),
    )
    other.build({m: tuple(x.shape) for m, x in quantized.items()})
    for number, layer in ((0, other.mlp.hidden), (2, other.mlp.output_layer)):
        for link in links.dense(f"jigsaw_alt/enc_net.{number}", layer):
            link.assign([file[f"weights/{name}"] for name in link.names])
    logits, puzzles = _puzzle(other, quantized, file, "alt_")
    found["alt/jigsaw_logits"], found["alt/jigsaw_input_head"] = logits, puzzles[:, 0]
    parts = ops.convert_to_tensor(file["rand/alt_jigsaw_parts"], dtype="int32")
    found["alt/jigsaw_loss"] = jigsaw.jigsaw_loss(other(quantized, parts=parts))
    found["alt/compute_params_out"] = masked_contrast.adaptive_mask_ratios(
        ops.convert_to_tensor(file["alt/compute_params_in"], dtype=keras.config.floatx())
    )
    return found


def _puzzle(classifier, quantized, file, label):
    """Logits, one order after the other, and the vectors `(orders, rows, dim)`."""
    parts = ops.convert_to_tensor(file[f"rand/{label}jigsaw_parts"], dtype="int32")

    def by_order(x):
        return ops.swapaxes(ops.reshape(x, (-1, *x.shape[-2:])), 0, 1)

    logits = by_order(classifier(quantized, parts=parts))
    return ops.reshape(logits, (-1, logits.shape[-1])), by_order(
        classifier.puzzles(quantized, parts)
    )
