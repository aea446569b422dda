"""Five training steps with fixed weights and data, and what they cost in float64.

`python -m tests.helpers.five_steps` writes `five_steps.json` beside this file: the numbers every
engine has to repeat in float32.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

import keras_cmg
from tests.helpers.small_fcid import in_order, small_batch, small_fcid

EXPECTED = Path(__file__).with_suffix(".json")


def fixed_model(dtype: str = "float32", **compile_arguments) -> keras_cmg.models.FCID:
    """An FCID without dropout whose weights depend on their place and shape alone."""
    model = small_fcid(
        backbone={
            "general": {"feedforward_units": 8, "num_heads": 2, "dropout": 0.0},
            "map_specific": {"hidden_channels": 8, "channels": 8},
            "quantizer": {"dead_code_patience": 2},
        },
        loss_weights={"code_matching": 1.0},
        dtype=dtype,
    )
    model.build({name: (None, *x.shape[1:]) for name, x in small_batch().items()})
    random = np.random.default_rng(0)
    for variable in in_order(model):
        fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 1
        scale = 0.1 if len(variable.shape) == 1 else 1 / np.sqrt(fan_in)
        around = 1.0 if variable.name == "gamma" else 0.0
        variable.assign(around + scale * random.standard_normal(variable.shape))
    codes = 0.3 * np.abs(random.standard_normal(model.backbone.quantizer.codebook.shape))
    model.backbone.quantizer.codebook.assign(codes)
    model.backbone.quantizer.ema_sums.assign(codes)
    # With its usual epsilon Adam enlarges the rounding of gradients that are zero, such as those of
    # a bias before a normalisation, ten million times.
    main, estimators = (keras.optimizers.Adam(rate, epsilon=1e-4) for rate in (4e-3, 1e-2))
    model.compile(main, estimators, **compile_arguments)
    return model


def run(model: keras_cmg.models.FCID) -> dict[str, list[float]]:
    """The logs of five steps on five batches, and the codebook's norm afterwards."""
    logs: dict[str, list[float]] = {}
    for step in range(5):
        batch = {name: x.astype(model.variable_dtype) for name, x in small_batch(seed=step).items()}
        history = model.fit(batch, batch_size=4, shuffle=False, verbose=0).history
        for key, (value,) in history.items():
            logs.setdefault(key, []).append(float(value))
    codebook = ops.convert_to_numpy(model.backbone.quantizer.codebook)
    logs["codebook_norm"] = [float(np.linalg.norm(codebook))]
    return logs


if __name__ == "__main__":
    keras.config.set_floatx("float64")
    EXPECTED.write_text(json.dumps(run(fixed_model("float64")), indent=1) + "\n")
