"""Recomputes a file of recorded optimisation steps of FCID, through the train step of `fit`."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_cmg.optimizers.module_clipped_adam import ModuleClippedAdam
from keras_cmg.reference.convert import export_state
from keras_cmg.reference.names import UNUSED
from tests.golden.codebook import smallest_margin
from tests.golden.systems import batch_of, draws_of, model_of, state_of

Arrays = dict[str, np.ndarray]

ORDER = ("cpc", "encoder", "club_audio", "club_video", "club_text", "club_audiovisual", "decoder")
CLIPPED = ("cpc", "encoder", "decoder")
TERMS = {
    "fine_recon_loss": "fine_reconstruction",
    "coarse_recon_loss": "coarse_reconstruction",
    "c_embedding_loss": "commitment",
    "c_cmcm_loss": "code_matching",
    "cpc_loss": "cpc",
    "infonce_loss": "infonce",
    "total": "loss",
    "total_reference_float32": "loss",
    **{f"mi_{name}_loss": f"club_{name}" for name in ("audio", "video", "text", "audiovisual")},
    **{
        f"lld_{name}_loss": f"club_{name}_nll" for name in ("audio", "video", "text", "audiovisual")
    },
    "acc1": "cpc_accuracy_audio_video",
    "acc2": "cpc_accuracy_video_audio",
    "acc3": "cpc_accuracy_video_video",
    "acc4": "cpc_accuracy_audio_audio",
}
NOT_HELD = ("f_embedding_loss", "f_cmcm_loss")
"""Terms of the fine codebook, which is switched off in the authors' code: zero."""


@keras.saving.register_keras_serializable("keras_cmg")
class RecordingAdam(ModuleClippedAdam):
    """`ModuleClippedAdam` that keeps the norms it found before clipping in `last_norms`."""

    last_norms: dict[str, keras.Variable]

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.last_norms = {
                name: self.add_variable((), "zeros", keras.config.floatx(), name=f"{name}_norm")
                for name in self.modules
            }

    def clipped(self, gradients, variables):
        for name, norm in self.norms(gradients, variables).items():
            self.last_norms[name].assign(norm)
        return super().clipped(gradients, variables)


def recompute(file: Mapping[str, np.ndarray], start: Mapping[str, np.ndarray]) -> Arrays:
    """Every quantity of a file like `train5.npz`.

    Of `clip_norm`, the three modules that are clipped; of `club_loglikeli`, the last inner step,
    which is what the train step logs.

    Args:
        file: name to array.
        start: the file with the weights and the first batch, like `fcid.npz`.

    Returns:
        Name to our array.

    Raises:
        ValueError: if weights are missing.
    """
    model = model_of(start)
    optimizer = RecordingAdam(4e-4)
    model.compile(
        optimizer,
        ModuleClippedAdam(1e-3, clip_norm=np.inf),
        # JAX compiles every operation of an eager step on its own, which takes longer.
        run_eagerly=keras.backend.backend() != "jax",
    )
    # What takes no part stays where it was.
    inert = {name: value for name, value in state_of(start).items() if UNUSED.match(name)}
    found: Arrays = {}
    steps = 1 + max(int(key.split("/")[0][4:]) for key in file if key.startswith("step"))
    for s in range(steps):
        prefix = f"step{s}"
        batch = batch_of(file, f"{prefix}/") if s else batch_of(start)
        batch["draws"] = draws_of(file, f"{prefix}/")
        values = {**_before(model, batch), **_step(model, optimizer, batch)}
        state = {**export_state(model), **inert}
        values["after/module_l2"] = np.sqrt([_squares(state, module) for module in ORDER])
        found |= {f"{prefix}/{key}": value for key, value in values.items()}
    for name, value in state.items():
        found[f"final/{name}"] = value
        found[f"final_l2/{name}"] = np.asarray(np.linalg.norm(value.astype("float64")))
        found[f"final_sum/{name}"] = np.asarray(value.astype("float64").sum())
    return found


def _squares(state: Arrays, module: str) -> float:
    return sum(
        float(np.sum(np.square(value.astype("float64"))))
        for name, value in state.items()
        if name.startswith(f"{module}/") and "Cross_quantizer" not in name
    )


def _before(model, batch) -> Arrays:
    """Assignments with the codebook from before the step, in the order of its sub-updates."""
    encoded = [
        model.backbone.encode(name, batch[name], "clip") for name in model.backbone.modalities
    ]
    codebook = model.backbone.codebook
    margins = [smallest_margin(codebook, codes["general"]) for codes in encoded]
    return {
        "indices_avt": np.stack([ops.convert_to_numpy(codes["indices"]) for codes in encoded]),
        "index_margin": np.asarray(min(margins)),
    }


def _step(model, optimizer, batch) -> Arrays:
    logs = model.train_on_batch(batch, return_dict=True)
    found = {f"loss/{key}": np.asarray(float(logs[term])) for key, term in TERMS.items()}
    found |= {f"loss/{key}": np.zeros(()) for key in NOT_HELD}
    fit = ("video", "audio", "audiovisual", "text")
    found["club_loglikeli"] = -np.array([float(logs[f"club_{name}_nll"]) for name in fit])
    found["clip_norm"] = np.array([float(optimizer.last_norms[module]) for module in CLIPPED])
    quantizer = model.backbone.quantizer
    for key, variable in (
        ("embedding", quantizer.codebook),
        ("ema_count", quantizer.ema_counts),
        ("ema_weight", quantizer.ema_sums),
        ("unactivated_count", quantizer.steps_since_used),
    ):
        found[f"after/{key}"] = ops.convert_to_numpy(variable)
    return found
