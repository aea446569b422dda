"""Every registered system at a thousandth of its size, with fixed weights where wanted.

`python -m tests.helpers.small_systems` writes `three_steps.json` beside this file: the numbers that
every engine has to repeat in float32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

import keras_cmg
from tests.helpers import small_fcid

SYSTEMS = (
    "aha", "cmcm", "codaar", "codebind", "codis", "dcid", "fac", "fcid", "hdcid", "micu", "simmmdg",
    "turn", "vanilla",
)  # fmt: skip
PEERS = ("aha", "cmcm", "codebind", "codis", "fac", "simmmdg", "turn", "vanilla")
"""Those that learn from pairs of modalities alone."""

ON_ENGINES = (*PEERS, "codaar", "micu")
"""Those whose three steps are compared with recorded numbers on every engine."""

EXPECTED = Path(__file__).with_name("three_steps.json")

BACKBONE: dict[str, Any] = {
    "embedding_dim": 8,
    "num_embeddings": 6,
    "general": {"num_layers": 1, "feedforward_units": 8, "num_heads": 2, "dropout": 0.0},
}
OWN: dict[str, dict[str, Any]] = {
    "fcid": {**small_fcid.BACKBONE, "general": BACKBONE["general"]},
    "dcid": {
        "map_specific": {"hidden_channels": 3, "channels": 4},
        "specific": {"audio": {"units": 5}, "text": {"units": 5}},
        "recurrent": {"text": {"units": 3, "num_layers": 1}},
    },
}
OWN["codaar"] = OWN["micu"] = OWN["dcid"]
ESTIMATORS = {"club": {"hidden_units": 4}, "cpc": {"units": 4}, "decoder_channels": 3}
OWN["hdcid"] = OWN["dcid"]
OWN["aha"] = {key: OWN["dcid"][key] for key in ("map_specific", "specific")}
OWN["codebind"] = {"chunk_dim": 4, "specific_dim": 8, "specific_embeddings": 5}
OBJECTIVE: dict[str, dict[str, Any]] = {
    "fcid": ESTIMATORS,
    "codaar": ESTIMATORS,
    "dcid": ESTIMATORS,
    "micu": {**ESTIMATORS, "jigsaw": {"hidden_units": 4}},
    "hdcid": {**ESTIMATORS, "second_level_start_step": 1},
    "aha": {"discriminator": {"hidden_units": 4}, "decoder_channels": 3},
    "cmcm": {"warm_start_steps": 1},
    "codis": {"momentum": 0.9},
}
SHAPES = {**small_fcid.SHAPES, "text": (10, 8)}
"""As many words as segments: DCID predicts words from segments, one for one."""


def small_system(
    name: str,
    modalities: tuple[str, ...] = ("audio", "text"),
    backbone: dict[str, Any] | None = None,
    preset: str = "small",
    **overrides: Any,
) -> keras_cmg.models.Pretrainer:
    """A system with a few thousand weights, not compiled."""
    keras.utils.set_random_seed(0)
    body = {**BACKBONE, **OWN.get(name, {})}
    if name == "simmmdg":
        body.pop("num_embeddings")
    return keras_cmg.models.create_model(
        name,
        preset,
        modalities,
        backbone={**body, **(backbone or {})},
        **{**OBJECTIVE.get(name, {}), **overrides},
    )


def compiled_system(*args: Any, **kwargs: Any) -> keras_cmg.models.Pretrainer:
    """The same with two Adam optimisers."""
    return small_fcid.compiled(small_system(*args, **kwargs))


def batch(
    modalities: tuple[str, ...] = ("audio", "text"), clips: int = 4, seed: int = 0
) -> dict[str, np.ndarray]:
    """Features drawn from a normal distribution."""
    random = np.random.default_rng(seed)
    return {m: random.standard_normal((clips, *SHAPES[m])).astype("float32") for m in modalities}


def codes_of(backbone: keras_cmg.models.Backbone) -> np.ndarray:
    """The numbers of all codes, one after the other; none without a quantiser."""
    tables = [] if backbone.quantizer is None else backbone.code_tables()
    return np.concatenate([np.zeros(0), *(keras.ops.convert_to_numpy(t).ravel() for t in tables)])


def fixed_system(name: str, dtype: str = "float32") -> keras_cmg.models.Pretrainer:
    """A compiled system whose weights depend on their place and shape alone."""
    model = small_system(name, dtype=dtype)
    model.build({m: (None, *x.shape[1:]) for m, x in batch().items()})
    random = np.random.default_rng(0)
    for variable in small_fcid.in_order(model):
        fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 1
        scale = 0.1 if len(variable.shape) == 1 else 1 / np.sqrt(fan_in)
        around = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(around + scale * random.standard_normal(variable.shape))
    quantizer = model.backbone.quantizer
    if hasattr(quantizer, "ema_sums"):
        codes = 0.3 * np.abs(random.standard_normal(quantizer.codebook.shape))
        quantizer.codebook.assign(codes)
        quantizer.ema_sums.assign(codes)
    if hasattr(model, "teacher"):
        for average, variable in zip(model.teacher.averages, model.teacher.followed, strict=True):
            average.assign(np.array(keras.ops.convert_to_numpy(variable)))
    return small_fcid.compiled(model)


def three_steps(model: keras_cmg.models.Pretrainer) -> dict[str, list[float]]:
    """The logs of three steps on three batches, some of whose clips lack the text."""
    logs: dict[str, list[float]] = {}
    for step in range(3):
        x = {m: v.astype(model.variable_dtype) for m, v in batch(seed=step).items()}
        x["text_mask"] = np.repeat([[1], [1], [0], [1]], 10, axis=1).astype(model.variable_dtype)
        history = model.fit(x, batch_size=4, shuffle=False, verbose=0).history
        for key, (value,) in history.items():
            logs.setdefault(key, []).append(float(value))
    return logs


def expected_steps() -> dict[str, dict[str, list[float]]]:
    """System to the logs of its three steps in float64."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        return {name: three_steps(fixed_system(name, "float64")) for name in ON_ENGINES}
    finally:
        keras.config.set_floatx(before)


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(expected_steps(), indent=1) + "\n")
