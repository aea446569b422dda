"""Recomputes what a file of recorded CoDAAR numbers holds: a pass, updates of rows, three steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.models.codaar.presets import REFERENCE
from keras_cmg.ops import aligned_codes, code_matching, quantization
from keras_cmg.reference.convert import export_state
from keras_cmg.reference.names import UNUSED, aligned_quantizer_links, batch_norm_links
from tests.golden import systems
from tests.golden.codebook import smallest_margin
from tests.golden.micu import reconstruction
from tests.golden.training_steps import RecordingAdam

Arrays = dict[str, np.ndarray]

MODULES = {
    "cpc": "cpc/",
    "encoder": r"backbone(_\d+)?/(?!text_context)",
    "text_lstm": r"backbone(_\d+)?/text_context",
    "decoder": "_decoder/",
}
"""Modules in the order of the record, with the paths of their variables."""


BUFFERS = re.compile(r"Cross_quantizer|running_|num_batches_tracked")
"""Tensors of the authors' modules that are no parameters."""


class ReplayedRows(AlignedCodebook):
    """Rows whose dead ones are replaced by recorded rows and noise rather than drawn ones."""

    donors: Mapping[int, int] = {}
    noise: Any = None

    def sample_replacements(self, codebook, steps, dead, inputs, weights=None):
        """The rows that the record names; a row that the record leaves out gets itself."""
        order = np.arange(self.num_embeddings)
        for row, donor in self.donors.items():
            order[row] = donor
        return ops.take(codebook, ops.convert_to_tensor(order, dtype="int32"), axis=0)

    def sample_noise(self):
        return ops.convert_to_tensor(self.noise)


def recompute(file: Mapping[str, np.ndarray], brief: bool = False) -> Arrays:
    """Every quantity of a file like `codaar.npz`.

    Args:
        file: name to array.
        brief: whether to recompute one forward pass alone.

    Returns:
        Name to our array.

    Raises:
        ValueError: if weights are missing.
    """
    model, batch = systems.model_of(file), systems.batch_of(file)
    found = _pass(model, batch, file)
    if not brief:
        found |= _downstream(model, batch)
        found |= _sequences(file)
        found |= systems.gradients(model, batch)
        found |= _training(file)
    return {key: np.asarray(ops.convert_to_numpy(value)) for key, value in found.items()}


def _pass(model, batch, file) -> dict[str, Any]:
    """Outputs, losses and the state after one forward pass, which is then undone."""
    start = [np.array(ops.convert_to_numpy(v)) for v in model.non_trainable_variables]
    inputs = model.prepare_step(batch, training=True)
    losses = model.main_losses(inputs)
    found = {f"after/encoder/{k}": v for k, v in _state(model.backbone).items()}
    found |= _rebuilt_blocks(model.backbone.quantizer, "after")
    found |= _outputs(model, inputs, losses, file)
    for variable, value in zip(model.non_trainable_variables, start, strict=True):
        variable.assign(value)
    return found


def _state(backbone) -> Arrays:
    """The state of codebook and normalisation, by the authors' names."""
    links = [*aligned_quantizer_links("Cross_quantizer", backbone.quantizer)]
    links += batch_norm_links(
        "video_semantic_encoder.spatial_conv_stack", backbone.specific_encoders["video"]
    )
    return {
        name: value
        for link in links
        if not any(v.trainable for v in link.variables)
        for name, value in zip(link.names, link.values(), strict=True)
    }


def _rebuilt_blocks(quantizer, prefix: str) -> Arrays:
    """The codes as the moving averages have them, before they are moved towards one another."""
    sums = quantizer.blocks(ops.convert_to_numpy(quantizer.ema_sums))
    counts = ops.convert_to_numpy(quantizer.ema_counts)
    blocks = {m: sums[m] / counts[i][:, None] for i, m in enumerate(quantizer.modalities)}
    found = {f"{prefix}/dta_{m[0]}_embedding": block for m, block in blocks.items()}
    cascaded = aligned_codes.cascade_blocks(blocks)
    found[f"{prefix}/csa_embedding"] = ops.concatenate(list(cascaded.values()), axis=1)
    found[f"{prefix}/dta_embedding"] = np.concatenate(list(blocks.values()), axis=1)
    return found


def _downstream(model, batch) -> dict[str, Any]:
    found = {}
    for name in systems.MODALITIES:
        rows = model.backbone.encode(name, batch[name])["quantized"]
        found[f"downstream/{name}_full"] = rows
        found[f"downstream/{name}"] = model.backbone.quantizer.blocks(rows)[name]
    return found


def _outputs(model, inputs, losses, file) -> dict[str, Any]:
    batch, features, quantizer = inputs.batch, inputs.features, model.backbone.quantizer
    general, codebooks = features["general"], model.modality_codebooks(inputs.code_tables[0])
    pooling = model.backbone.general_encoders["video"].map_pooling
    found = {"out/text_lstm": features["input"]["text"]}
    found["out/v_pooled"] = pooling(batch["video"])
    found["out/equal_num"] = systems.agreeing_clips(features["indices"])
    margins = [smallest_margin(codebooks[m], x) for m, x in general.items()]
    found["out/index_margin"] = min(margins)
    commitment = quantization.commitment_loss(general, features["codes"])
    for name, decoder in model.decoders.items():
        letter, rows = name[0], features["quantized"][name]
        found[f"out/{letter}_gen"] = general[name]
        found[f"out/{letter}_spe"] = features["specific"][name]
        found[f"out/{letter}_vq"] = features["codes"][name]
        found[f"out/{letter}_full"] = rows
        found[f"out/{letter}_indices"] = features["indices"][name]
        found[f"out/perplexity_{letter}"] = _perplexity(features["indices"][name], quantizer)
        found[f"out/dec_logits_{name}"] = model.event_heads[name](rows)
        found[f"loss/embedding_{letter}"] = commitment[name]
        rebuilt = decoder(rows, features["specific"][name])
        found |= reconstruction(name, rebuilt, features["input"][name])
    found |= systems.matching_outputs(general, codebooks)
    for key, term in {"cpc": "cpc", "cmcm": "code_matching", "total": "loss"}.items():
        found[f"loss/{key}"] = losses[term]
    found |= _segment_terms(quantizer, "loss/segment", quantizer.codebook)
    return found | systems.dcid_cpc(model, general, file)


def _perplexity(indices, quantizer):
    return quantization.perplexity(quantization.code_usage(indices, quantizer.num_embeddings))


def _segment_terms(quantizer, key: str, table: Any) -> dict[str, Any]:
    """How well a code tells the others of its row, which the authors' code logs."""
    blocks = quantizer.blocks(ops.convert_to_tensor(table))
    terms = aligned_codes.row_alignment_terms(blocks)
    order = (("video", "audio"), ("video", "text"), ("audio", "text"))
    return {
        key: aligned_codes.row_alignment_loss(blocks),
        f"{key}_terms": ops.stack([terms[pair] for pair in order]),
    }


def _sequences(file) -> dict[str, Any]:
    """Updates of a codebook alone."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(key.split("/")[1] for key in file if key.startswith("seq/")):
        found |= _sequence(file, f"seq/{name}")
    return found


def _sequence(file, name: str) -> dict[str, Any]:
    codes, width = file[f"{name}/init/embedding"].shape
    modalities = REFERENCE["backbone"]["modalities"]
    settings = {k: v for k, v in REFERENCE["backbone"]["quantizer"].items() if k != "class_name"}
    codebook = ReplayedRows(
        codes,
        width // len(modalities),
        modalities=modalities,
        dtype=keras.config.floatx(),
        **settings,
    )
    codebook.build()
    links = list(aligned_quantizer_links("state", codebook))
    for link in links:
        names = [label.removeprefix("state.") for label in link.names]
        link.assign([file[f"{name}/init/{label}"] for label in names])
    found: dict[str, Any] = {}
    margins, step = [], 0
    while f"{name}/step{step}/in_a" in file:
        prefix = f"{name}/step{step}"
        inputs = {
            m: ops.convert_to_tensor(file[f"{prefix}/in_{m[0]}"], dtype=keras.config.floatx())
            for m in modalities
        }
        blocks = codebook.blocks(ops.copy(ops.convert_to_tensor(codebook.codebook)))
        margins += [smallest_margin(blocks[m], x) for m, x in inputs.items()]
        found[f"{prefix}/revived"] = _replay(file, codebook, inputs, prefix)
        outputs = codebook(inputs, training=True)
        indices = {m: out["indices"] for m, out in outputs.items()}
        found |= _losses(inputs, outputs, indices, blocks, codebook, prefix)
        found |= _rebuilt_blocks(codebook, prefix)
        table = found[f"{prefix}/csa_embedding"]
        found |= _segment_terms(codebook, f"{prefix}/loss_segment", table)
        for link in links:
            for label, value in zip(link.names, link.values(), strict=True):
                found[f"{prefix}/after/{label.removeprefix('state.')}"] = value
        step += 1
    found[f"{name}/min_margin"] = np.asarray(min(margins))
    return found


def _replay(file, codebook, inputs, prefix) -> np.ndarray:
    """Rows that this step replaces; sets what the record replaces them by.

    The record has the position of each donor in the list of live rows.
    """
    indices = [codebook.assign_codes(x, m)["indices"] for m, x in inputs.items()]
    used = np.concatenate([ops.convert_to_numpy(index).ravel() for index in indices])
    steps = ops.convert_to_numpy(codebook.steps_since_used) + 1
    steps[used] = 0
    revived = np.flatnonzero(steps > codebook.dead_code_patience)
    live = np.flatnonzero(steps < 100)
    codebook.donors, codebook.noise = {}, np.zeros((codebook.num_embeddings, codebook.code_dim))
    if f"{prefix}/rand_donor" in file:
        donors = live[file[f"{prefix}/rand_donor"]]
        codebook.donors = dict(zip(revived.tolist(), donors.tolist(), strict=True))
        codebook.noise[revived] = file[f"{prefix}/rand_noise"]
    return revived


def _losses(inputs, outputs, indices, blocks, codebook, prefix) -> dict[str, Any]:
    """Assignments and losses, which use the rows from before the update."""
    found = {f"{prefix}/idx_{m[0]}": index for m, index in indices.items()}
    codes = {m: out["codes"] for m, out in outputs.items()}
    for name, loss in quantization.commitment_loss(inputs, codes).items():
        found[f"{prefix}/loss_embedding_{name[0]}"] = loss
        found[f"{prefix}/perplexity_{name[0]}"] = _perplexity(indices[name], codebook)
    found[f"{prefix}/loss_cmcm"] = code_matching.code_matching_loss(inputs, blocks, "reference")
    found[f"{prefix}/equal_num"] = systems.agreeing_clips(indices)
    return found


def _training(file) -> dict[str, Any]:
    """Steps of training from the state of the file, through the train step of `fit`."""
    model = systems.model_of(file)
    optimizer = RecordingAdam(4e-4, modules=MODULES)
    # JAX compiles every operation of an eager step on its own, which takes longer.
    model.compile(optimizer, run_eagerly=keras.backend.backend() != "jax")
    inert = {name: v for name, v in systems.state_of(file).items() if UNUSED.match(name)}
    found: dict[str, Any] = {}
    state: Arrays = {}
    steps = {key.split("/")[1] for key in file if key.startswith("train/")}
    for step in sorted(steps):
        prefix = f"train/{step}"
        given = f"{prefix}/" if f"{prefix}/in/audio" in file else ""
        batch = systems.batch_of(file, given)
        parts = _pass(model, batch, {"rand/cpc_t": file[f"{given}rand/cpc_t"]})
        found |= {
            f"{prefix}/{key}": value for key, value in parts.items() if key.startswith("loss/")
        }
        found[f"{prefix}/loss/cpc_accuracy"] = parts["out/cpc_accuracy"]
        found[f"{prefix}/index_margin"] = parts["out/index_margin"]
        indices = [ops.convert_to_numpy(parts[f"out/{m[0]}_indices"]) for m in systems.MODALITIES]
        found[f"{prefix}/indices_avt"] = np.stack([index.ravel() for index in indices])
        logs = model.train_on_batch(batch, return_dict=True)
        found[f"{prefix}/loss/total"] = np.asarray(float(logs["loss"]))
        norms = [float(optimizer.last_norms[module]) for module in MODULES]
        found[f"{prefix}/clip_norm"] = np.array(norms)
        for name, value in _state(model.backbone).items():
            plain = name.removeprefix("Cross_quantizer.").removeprefix("video_semantic_encoder.")
            found[f"{prefix}/after/{plain}"] = value
        found |= _rebuilt_blocks(model.backbone.quantizer, f"{prefix}/after")
        state = {**export_state(model), **inert}
        found[f"{prefix}/after/module_l2"] = np.sqrt([_squares(state, m) for m in MODULES])
    for name, value in state.items():
        wide = value.astype("float64")
        found[f"final/{name}"] = value
        found[f"final_l2_sum/{name}"] = np.array([np.linalg.norm(wide), wide.sum()])
    return found


def _squares(state: Arrays, module: str) -> float:
    """Sum of the squares of a module's parameters."""
    return sum(
        float(np.sum(np.square(value.astype("float64"))))
        for name, value in state.items()
        if name.startswith(f"{module}/") and not BUFFERS.search(name)
    )
