"""Recomputes files of recorded codebook updates (MM-EMA) and channel choices (TOC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.models.fcid.presets import REFERENCE
from keras_cmg.ops import channel_selection, code_matching, quantization
from keras_cmg.reference.names import quantizer_links
from tests.golden.systems import agreeing_clips

Arrays = dict[str, np.ndarray]
MODALITIES = {"audio": "a", "video": "v", "text": "t"}


class ReplayedCodebook(Codebook):
    """A codebook whose dead codes are replaced by recorded codes rather than drawn ones."""

    donors: Mapping[int, int] = {}

    def sample_replacements(self, codebook, steps, dead, inputs, weights=None):
        """The codes that the record names; a code that the record leaves out gets itself."""
        order = np.arange(self.num_embeddings)
        for code, donor in self.donors.items():
            order[code] = donor
        return ops.take(codebook, ops.convert_to_tensor(order, dtype="int32"), axis=0)


def recompute_updates(file: Mapping[str, np.ndarray]) -> Arrays:
    """Every quantity of a file like `mmema.npz`.

    Args:
        file: name to array.

    Returns:
        Name to our array.
    """
    found: Arrays = {}
    for name in dict.fromkeys(key.split("/")[0] for key in file):
        found |= _sequence(file, name)
    return found


def _sequence(file, name) -> Arrays:
    codes, dim = file[f"{name}/init/embedding"].shape
    codebook = ReplayedCodebook(
        codes, dim, dtype=keras.config.floatx(), **REFERENCE["backbone"]["quantizer"]
    )
    codebook.build()
    links = list(quantizer_links("state", codebook))
    for link in links:
        link.assign([file[f"{name}/init/{link.names[0].removeprefix('state.')}"]])
    found: Arrays = {}
    margins = []
    step = 0
    while f"{name}/step{step}/in_a" in file:
        prefix = f"{name}/step{step}"
        inputs = {
            modality: ops.convert_to_tensor(
                file[f"{prefix}/in_{letter}"], dtype=keras.config.floatx()
            )
            for modality, letter in MODALITIES.items()
        }
        margins += [smallest_margin(codebook.codebook, x) for x in inputs.values()]
        found |= {f"{prefix}/{key}": value for key, value in _step(codebook, inputs).items()}
        found |= {
            key: value for key, value in _between(codebook, inputs, prefix).items() if key in file
        }
        before = ops.convert_to_numpy(codebook.steps_since_used)
        pairs = zip(file[f"{prefix}/revived"], file[f"{prefix}/revived_from"], strict=True)
        codebook.donors = {int(code): int(donor) for code, donor in pairs}
        outputs = codebook(inputs, training=not name.startswith("eval"))
        used = np.concatenate(
            [ops.convert_to_numpy(out["indices"]).reshape(-1) for out in outputs.values()]
        )
        dead = np.flatnonzero(before + 1 > codebook.dead_code_patience)
        revived = np.setdiff1d(dead, used)
        found[f"{prefix}/revived"] = revived
        found[f"{prefix}/revived_from"] = np.array(
            [codebook.donors.get(int(i), -1) for i in revived]
        )
        for link in links:
            found[f"{prefix}/after/{link.names[0].removeprefix('state.')}"] = link.values()[0]
        step += 1
    found[f"{name}/min_margin"] = np.asarray(min(margins))
    return found


def _step(codebook, inputs) -> Arrays:
    """Assignments and losses, which use the codebook from before the update."""
    found = {}
    codes, indices = {}, {}
    for modality, x in inputs.items():
        looked_up = codebook.assign_codes(x)
        codes[modality], indices[modality] = looked_up["codes"], looked_up["indices"]
        found[f"idx_{MODALITIES[modality]}"] = looked_up["indices"]
    for modality, loss in quantization.commitment_loss(inputs, codes).items():
        found[f"loss_embedding_{MODALITIES[modality]}"] = loss
    found["loss_cmcm"] = code_matching.code_matching_loss(inputs, codebook.codebook, "reference")
    found["equal_num"] = np.asarray(agreeing_clips(indices))
    return {key: ops.convert_to_numpy(value) for key, value in found.items()}


def _between(codebook, inputs, prefix) -> Arrays:
    """State after each modality's sub-update."""
    counts, sums = (ops.convert_to_tensor(v) for v in (codebook.ema_counts, codebook.ema_sums))
    found = {}
    for modality, mixture in quantization.mix_modalities(inputs).items():
        indices = codebook.assign_codes(inputs[modality])["indices"]
        new = quantization.code_statistics(indices, mixture, codebook.num_embeddings)
        counts, sums = quantization.ema_update(counts, sums, *new, codebook.decay, codebook.epsilon)
        label = f"{prefix}/after_{MODALITIES[modality]}"
        found[f"{label}/ema_count"] = ops.convert_to_numpy(counts)
        found[f"{label}/ema_weight"] = ops.convert_to_numpy(sums)
    return found


def smallest_margin(codes: Any, x: Any) -> float:
    """Smallest gap between the nearest and the second nearest squared distance, in float64."""
    codes = ops.convert_to_numpy(codes).astype("float64")
    vectors = ops.convert_to_numpy(x).astype("float64").reshape(-1, codes.shape[1])
    distances = np.square(vectors[:, None] - codes).sum(axis=-1)
    two = np.partition(distances, 1, axis=1)
    return float(np.min(two[:, 1] - two[:, 0]))


def recompute_choices(file: Mapping[str, np.ndarray]) -> Arrays:
    """Every quantity of a file like `toc.npz`.

    Args:
        file: name to array.

    Returns:
        Name to our array.
    """
    found: Arrays = {}
    for name in dict.fromkeys(key.split("/")[0] for key in file):
        codebook = file[f"{name}/codebook"]
        for label, criterion in (("ref_simvar", "both"), ("ref_sim", "similarity")):
            scores = channel_selection.channel_scores(
                codebook, criterion=criterion, normalize=False, unbiased=True
            )
            for kind in (label, f"{label}_float32"):
                found[f"{name}/{kind}/criterion"] = scores.importance
                found |= dict(_choices(file, f"{name}/{kind}", scores.importance))
            found[f"{name}/{label}/criterion_exact"] = scores.importance
        scores = channel_selection.channel_scores(codebook)
        found[f"{name}/paper/S"] = scores.similarity
        found[f"{name}/paper/V"] = scores.variance
        found[f"{name}/paper/U"] = scores.importance
        found |= dict(_choices(file, f"{name}/paper", scores.importance))
    return found


def _choices(file, prefix, importance) -> Iterator[tuple[str, np.ndarray]]:
    """The recorded selections: `indices_k128`, or `indices_k128_max3_min1` with both ends."""
    for key in file:
        folder, _, label = key.rpartition("/")
        if folder != prefix or not label.startswith("indices_k"):
            continue
        count, *ends = label.removeprefix("indices_k").split("_")
        high, low = (int(end[3:]) for end in ends) if ends else (1, 0)
        yield key, channel_selection.select_channels(importance, int(count), (high, low))
