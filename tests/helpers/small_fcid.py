"""An FCID of a few thousand weights, and batches for it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import keras_cmg

SHAPES = {
    "audio": (10, 12),
    "video": (10, 7, 7, 6),
    "text": (5, 8),
    "depth": (10, 5, 5, 3),
    "imu": (10, 4),
}
BACKBONE = {
    "embedding_dim": 8,
    "num_embeddings": 6,
    "general": {"feedforward_units": 8, "num_heads": 2},
    "map_specific": {"hidden_channels": 3, "channels": 4},
    "specific": {"units": 5},
}
OBJECTIVE = {
    "club": {"hidden_units": 4},
    "cpc": {"units": 4},
    "cpc_self_weight": 0.1,
    "decoder_channels": 3,
    "infonce_temperature": 0.1,
    "infonce_symmetric": True,
    "cross_modal_commitment": True,
}


def small_fcid(
    modalities: tuple[str, ...] = ("audio", "video", "text"),
    backbone: dict[str, Any] | None = None,
    **overrides: Any,
) -> keras_cmg.models.FCID:
    """The preset "paper" at a thousandth of its size."""
    keras.utils.set_random_seed(0)
    return keras_cmg.models.FCID.from_preset(
        "paper", modalities, backbone={**BACKBONE, **(backbone or {})}, **{**OBJECTIVE, **overrides}
    )


def compiled_fcid(
    *args: Any, jit_compile: Any = "auto", steps_per_execution: int = 1, **kwargs: Any
) -> keras_cmg.models.FCID:
    """The same with two Adam optimisers."""
    return compiled(
        small_fcid(*args, **kwargs),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )


def compiled(model: keras_cmg.models.FCID, **compile_arguments: Any) -> keras_cmg.models.FCID:
    """The model with two Adam optimisers."""
    model.compile(keras.optimizers.Adam(4e-3), keras.optimizers.Adam(1e-2), **compile_arguments)
    return model


def small_batch(
    modalities: tuple[str, ...] = ("audio", "video", "text"), clips: int = 4, seed: int = 0
) -> dict[str, np.ndarray]:
    """Features drawn from a normal distribution."""
    random = np.random.default_rng(seed)
    return {
        name: random.standard_normal((clips, *SHAPES[name])).astype("float32")
        for name in modalities
    }


def in_order(model: keras_cmg.models.Pretrainer) -> list[keras.Variable]:
    """Trainable variables in the order of the recorded numbers: encoders, coarse level, others."""
    backbone = model.backbone
    coarse = getattr(backbone, "coarse_level", None)
    last = {id(v) for v in coarse.trainable_variables} if coarse else set()
    inside = {id(v) for v in backbone.trainable_variables}
    return sorted(model.trainable_variables, key=lambda v: (id(v) not in inside, id(v) in last))
