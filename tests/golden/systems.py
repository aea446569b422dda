"""Recomputes what a file of recorded FCID or DCID numbers holds: one forward and backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.models.dcid import DCID
from keras_cmg.ops import code_matching, contrastive, mutual_information, quantization
from keras_cmg.reference.convert import import_state
from keras_cmg.reference.names import cpc_links, model_links, quantizer_links, unused_tensors

Arrays = dict[str, np.ndarray]
MODALITIES = ("audio", "video", "text")
PAIRS = (("audio", "video"), ("audio", "text"), ("text", "video"))


def state_of(file: Mapping[str, np.ndarray], prefix: str = "weights/") -> Arrays:
    """The recorded weights, by the authors' names."""
    return {key.removeprefix(prefix): file[key] for key in file if key.startswith(prefix)}


def batch_of(file: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """Recorded inputs and draws as a batch."""
    batch: dict[str, Any] = {
        name: ops.convert_to_tensor(file[f"{prefix}in/{name}"], dtype=keras.config.floatx())
        for name in MODALITIES
    }
    batch["draws"] = draws_of(file, prefix)
    return batch


def draws_of(file: Mapping[str, np.ndarray], prefix: str = "") -> dict[str, Any]:
    """Recorded draws, under the names that a batch gives them."""
    names = {
        "cpc_t": "cpc_time",
        "cpc2_t": "second_cpc_time",
        "perm_": "club_",
        "perm2_": "club_second_",
    }
    draws = {}
    for key in file:
        for recorded, name in names.items():
            start = f"{prefix}rand/{recorded}"
            if key.startswith(start):
                value = ops.convert_to_tensor(file[key], dtype="int32")
                draws[f"{name}{key.removeprefix(start)}"] = value
    return draws


def model_of(
    file: Mapping[str, np.ndarray], example: Mapping[str, np.ndarray] | None = None
) -> Any:
    """The recorded model, in the present floating-point type and without dropout."""
    video = (example or file)["in/video"]
    model, summary = import_state(
        state_of(file), map_size=video.shape[2:4], dtype=keras.config.floatx(), dropout=0.0
    )
    if summary.missing:
        raise ValueError(f"The file must hold every module. Missing: {summary.missing}")
    return model


def recompute(file: Mapping[str, np.ndarray]) -> Arrays:
    """Every quantity of a file like `fcid.npz` or `dcid.npz`.

    Args:
        file: name to array.

    Returns:
        Name to our array.

    Raises:
        ValueError: if weights are missing.
    """
    model = model_of(file)
    batch = batch_of(file)
    dcid = isinstance(model, DCID)
    start = [ops.convert_to_numpy(v) for v in model.backbone.quantizer.variables]
    found = (dcid_downstream if dcid else fcid_downstream)(model, batch)
    inputs = model.prepare_step(batch, training=True)
    losses = model.main_losses(inputs)
    quantizer = "Cross_quantizer" if dcid else "Cross_quantizer_coarse"
    for link in quantizer_links(f"after/encoder/{quantizer}", model.backbone.quantizer):
        found[link.names[0]] = link.values()[0]
    outputs = dcid_outputs if dcid else fcid_outputs
    found |= outputs(model, inputs, losses, file)
    for variable, value in zip(model.backbone.quantizer.variables, start, strict=True):
        variable.assign(value)
    found |= gradients(model, batch)
    return {key: np.asarray(ops.convert_to_numpy(value)) for key, value in found.items()}


def shared_outputs(model, inputs, general, codes: str) -> dict[str, Any]:
    """Quantiser, code matching and CLUB, which both systems have."""
    found: dict[str, Any] = {}
    features = inputs.features
    for name in MODALITIES:
        letter = name[0]
        found[f"out/{codes}{letter}_vq"] = features["quantized"][name]
        found[f"out/{codes}{letter}_indices"] = features["indices"][name]
        found[f"out/{codes}{letter}_quantized"] = features["codes"][name]
    found |= matching_outputs(general, dict.fromkeys(general, inputs.code_tables[0]))
    for term, estimator in model.estimators.items():
        x, y, _ = inputs.estimator_pairs[term]
        q = estimator(x, y)
        found[f"loss/{term}_loglikeli"] = estimator.log_likelihood(x, y)
        found[f"out/{term}_mu"] = q["mean"]
        found[f"out/{term}_logvar"] = q["log_variance"]
        found[f"alt/{term}_mi_textbook"] = mutual_information.club_upper_bound(
            q["mean"], q["log_variance"], y, "permutation", inputs.draws[term]
        )
    return found


def matching_outputs(general, codebooks) -> dict[str, Any]:
    """Code matching of each pair of modalities, each with its own codes."""
    found: dict[str, Any] = {}
    log_p = {
        name: code_matching.code_log_probabilities(x, codebooks[name])
        for name, x in general.items()
    }
    for name, values in log_p.items():
        found[f"out/cmcm_prob_{name[0]}"] = ops.exp(values)
    for a, b in PAIRS:
        scores = code_matching.code_matching_logits(log_p[a], log_p[b], "reference")
        found[f"out/cmcm_score_{a[0]}{b[0]}"] = scores
        found[f"loss/cmcm_{a[0]}{b[0]}"] = code_matching.pair_loss(scores, "reference")
    return found


def agreeing_clips(indices: Mapping[str, Any]) -> int:
    """Number of clips whose most frequent codes agree in all modalities; the lowest wins a tie."""
    modes = []
    for index in indices.values():
        rows = ops.convert_to_numpy(index).reshape(len(index), -1)
        modes.append([int(np.bincount(row).argmax()) for row in rows])
    return sum(len(set(clip)) == 1 for clip in zip(*modes, strict=True))


def fcid_outputs(model, inputs, losses, file) -> dict[str, Any]:
    """Outputs and losses of FCID."""
    batch, features = inputs.batch, inputs.features
    general = features["coarse_general"]
    found = shared_outputs(model, inputs, general, "coarse_")
    fine, specific = features["fine_general"], features["fine_specific"]
    found["out/t_fine"] = fine["text"]
    found["out/v_pooled"] = model.backbone.general_encoders["video"].map_pooling(batch["video"])
    found["out/v_club"] = features["fine_summary"]["video"]
    for name in MODALITIES:
        letter = name[0]
        found[f"out/coarse_{letter}"] = features["projected"][name]
        found[f"out/coarse_{letter}_gen"] = features["coarse_general"][name]
        found[f"out/coarse_{letter}_spe"] = features["coarse_specific"][name]
        rebuilt = model.coarse_decoders[name](
            features["quantized"][name], features["coarse_specific"][name]
        )
        found[f"out/dec_coarse_{letter}"] = rebuilt
        target = features["projected"][name]
        found[f"loss/recon_coarse_{letter}"] = ops.mean(ops.square(rebuilt - target))
    for name, decoder in model.fine_decoders.items():
        letter = name[0]
        found[f"out/{letter}_gen"] = found[f"out/fine_{letter}_vq"] = fine[name]
        found[f"out/{letter}_spe"] = specific[name]
        rebuilt = found[f"out/dec_fine_{letter}"] = decoder(fine[name], specific[name])
        found[f"loss/recon_fine_{letter}"] = ops.mean(ops.square(rebuilt - batch[name]))
    groups = (*model.backbone.fine, *model.backbone.coarse_level.groups)
    found["out/coarse_equal_num"] = agreeing_clips(features["indices"])
    commitment = quantization.commitment_loss(general, features["codes"])
    found |= {f"loss/embedding_{name[0]}": value for name, value in commitment.items()}
    for key, term in {
        "recon_fine": "fine_reconstruction",
        "recon_coarse": "coarse_reconstruction",
        "embedding_coarse": "commitment",
        "cmcm_coarse": "code_matching",
        "cpc": "cpc",
        "infonce": "infonce",
        "total": "loss",
        "total_reference_float32": "loss",
        **{f"mi_{name}": f"club_{name}" for name in groups},
    }.items():
        found[f"loss/{key}"] = losses[term]
    found["out/coarse_embedding_loss"] = losses["commitment"]
    found["out/coarse_cmcm_loss"] = losses["code_matching"]
    # The fine codebook is switched off in the authors' code, and has no counterpart here.
    for key in ("out/fine_embedding_loss", "out/fine_cmcm_loss", "out/fine_equal_num",
                "loss/embedding_fine", "loss/cmcm_fine"):  # fmt: skip
        found[key] = np.zeros(1)
    for temperature in (0.1, 1.0):
        for name in model.backbone.fine:
            found[f"loss/infonce_{name[0]}t_tau{temperature}"] = contrastive.info_nce(
                general[name], general["text"], temperature
            )
    return found | fcid_cpc(model, fine, file)


def fcid_cpc(model, fine, file) -> dict[str, Any]:
    """CPC with the recorded numbers of prediction steps, at every time."""
    order = ("audio->video", "video->audio", "video->video", "audio->audio")
    weights = (1.0, 1.0, 0.1, 0.1)
    fine = {name: fine[name] for name in model.backbone.fine}
    found: dict[str, Any] = {}
    for label, cpc in (
        ("cpc", model.cpc_predictor),
        ("cpc3", longer_cpc(model.cpc_predictor, fine, file)),
    ):
        time = ops.convert_to_tensor(file[f"rand/{label}_t"], dtype="int32")
        logits = cpc(fine, time=time)
        losses = [contrastive.cpc_loss(logits[pair], "predictions") for pair in order]
        found[f"out/{label}_logits"] = ops.stack([logits[pair] for pair in order], axis=1)
        found[f"loss/{label}_terms"] = ops.stack(losses)
        found[f"out/{label}_accuracy"] = ops.stack(
            [contrastive.diagonal_accuracy(logits[pair][-1]) for pair in order]
        )
        found[f"loss/{label}"] = sum(w * x for w, x in zip(weights, losses, strict=True))
    found |= cpc_over_time(model, fine, order, weights, file)
    return found


def cpc_over_time(model, fine, order, weights, file) -> dict[str, Any]:
    """Contexts at the recorded time, and the loss at every time."""
    time = ops.convert_to_tensor(file["rand/cpc_t"], dtype="int32")
    found = {
        f"out/cpc_context_{m}": model.cpc_predictor.context(m, x, time) for m, x in fine.items()
    }
    if "loss/cpc_by_t" not in file:
        return found
    by_time = []
    for t in range(1, 1 + len(file["loss/cpc_by_t"])):
        logits = model.cpc_predictor(fine, time=ops.convert_to_tensor(t, dtype="int32"))
        by_time.append(
            sum(
                w * contrastive.cpc_loss(logits[pair], "predictions")
                for w, pair in zip(weights, order, strict=True)
            )
        )
    return {**found, "loss/cpc_by_t": ops.stack(by_time)}


def longer_cpc(cpc: CPCPredictor, features, file) -> CPCPredictor:
    """A predictor of more steps: the recorded one, with the further predictors of the file."""
    extra = state_of(file, "weights/cpc3_extra/")
    steps = 1 + max(int(name.split(".")[1]) for name in extra)
    longer = CPCPredictor(
        **{**cpc.get_config(), "name": "longer_cpc", "num_prediction_steps": steps}
    )
    longer.build({name: tuple(x.shape) for name, x in features.items()})
    state = {**state_of(file), **{f"cpc/{name}": value for name, value in extra.items()}}
    for link in cpc_links(longer):
        link.assign([state[name] for name in link.names])
    return longer


def fcid_downstream(model, batch) -> dict[str, Any]:
    """What probes see of FCID: codes of segments and of clips."""
    found = {}
    for name in MODALITIES:
        segments = model.backbone.encode(name, batch[name], "segment")
        found[f"downstream/{name}_split_indices"] = segments["indices"]
        if name in model.backbone.fine:
            found[f"downstream/{name}_split"] = segments["quantized"]
        clips = model.backbone.encode(name, batch[name], "clip")
        found[f"downstream/{name}_ret"] = clips["quantized"]
        found[f"downstream/{name}_ret_indices"] = clips["indices"]
    return found


def dcid_downstream(model, batch) -> dict[str, Any]:
    """What probes see of DCID."""
    return {
        f"downstream/{name}": model.backbone.encode(name, batch[name], "segment")["quantized"]
        for name in MODALITIES
    }


def dcid_outputs(model, inputs, losses, file) -> dict[str, Any]:
    """Outputs and losses of DCID."""
    batch, features = inputs.batch, inputs.features
    general, quantized = features["general"], features["quantized"]
    found = shared_outputs(model, inputs, general, "")
    found = {key: value for key, value in found.items() if key in file}
    found["out/text_lstm"] = features["input"]["text"]
    found["out/v_pooled"] = model.backbone.general_encoders["video"].map_pooling(batch["video"])
    found["out/v_club"] = features["summary"]["video"]
    found["out/equal_num"] = agreeing_clips(features["indices"])
    commitment = quantization.commitment_loss(general, features["codes"])
    for name, decoder in model.decoders.items():
        letter = name[0]
        found[f"out/{letter}_gen"] = general[name]
        found[f"out/{letter}_spe"] = features["specific"][name]
        rebuilt = found[f"out/dec_{name}"] = decoder(quantized[name], features["specific"][name])
        error = ops.mean(ops.square(rebuilt - features["input"][name]))
        found[f"loss/recon_{name}"] = error
        found[f"out/dec_logits_{name}"] = model.event_heads[name](quantized[name])
        found[f"loss/embedding_loss_{letter}"] = commitment[name]
        found[f"loss/mi_{name}"] = losses[f"club_{name}"]
    for key, term in (
        ("embedding", "commitment"),
        ("cmcm_loss", "code_matching"),
        ("cpc", "cpc"),
        ("total", "loss"),
    ):
        found[f"loss/{key}"] = losses[term]
    return found | dcid_cpc(model, general, file)


def dcid_cpc(model, general, file, normalize: bool = True) -> dict[str, Any]:
    """CPC of all pairs of three modalities.

    Args:
        model: with a `cpc_predictor`.
        general: modality to features.
        file: name to recorded array.
        normalize: whether the recorded accuracies are of the best target of each prediction by
            logits normalised over predictions, rather than of the best prediction.
    """
    # Recorded as target/prediction: a/v, a/t, v/t, v/a, t/a, t/v, a/a, v/v, t/t.
    order = ("video->audio", "text->audio", "text->video", "audio->video", "audio->text",
             "video->text", "audio->audio", "video->video", "text->text")  # fmt: skip
    time = ops.convert_to_tensor(file["rand/cpc_t"], dtype="int32")
    logits = model.cpc_predictor(general, time=time)
    found = {"out/cpc_logits": ops.concatenate([logits[pair] for pair in order])}
    found["out/cpc_accuracy"] = ops.stack(
        [
            contrastive.diagonal_accuracy(ops.log_softmax(logits[p][-1]), axis=0)
            if normalize
            else contrastive.diagonal_accuracy(logits[p][-1])
            for p in order
        ]
    )
    found["loss/cpc_terms"] = ops.stack(
        [contrastive.cpc_loss(logits[pair], "predictions") for pair in order]
    )
    return found | cpc_over_time(model, general, order, 6 * (1.0,) + 3 * (0.1,), file)


def gradients(model, batch) -> dict[str, Any]:
    """Gradients of the total in the authors' layout, and their norms."""
    inputs = {name: batch[name] for name in MODALITIES}
    links = [link for link in model_links(model) if all(v.trainable for v in link.variables)]
    variables = [variable for link in links for variable in link.variables]

    def total(inputs):
        x = {**inputs, "draws": batch["draws"]}
        return model.main_losses(model.prepare_step(x, training=True))["loss"]

    slopes, found = engine.gradients(total, variables, inputs)
    found = {f"grad/in/{name}": ops.convert_to_numpy(value) for name, value in found.items()}
    video = found["grad/in/video"].astype("float64")
    found["grad/in/video_spatial_sum"] = video.sum(axis=(2, 3))
    found["grad_l2/in/video"] = np.asarray(np.linalg.norm(video))
    remaining = iter(slopes)
    squares: dict[str, float] = {}
    for link in links:
        own = [ops.convert_to_numpy(next(remaining)) for _ in link.variables]
        for name, value in zip(link.names, link.to_reference(*own), strict=True):
            found[f"grad/{name}"] = value
            norm = float(np.linalg.norm(np.asarray(value, "float64")))
            found[f"grad_l2/{name}"] = np.asarray(norm)
            module = name.split("/")[0]
            squares[module] = squares.get(module, 0.0) + norm**2
    # Tensors without effect have no gradient.
    for name, zeros in unused_tensors(links).items():
        found[f"grad/{name}"], found[f"grad_l2/{name}"] = zeros, np.zeros(())
    return found | {f"grad_l2/{name}": np.sqrt(value) for name, value in squares.items()}
