"""Trains a small FCID over several devices: a process of a data-parallel run.

`python -m tests.helpers.distributed_run OUT RUN...` makes as many virtual devices as the variable
`VIRTUAL_DEVICES` says. A run is written `NAME=DEVICES`: it leaves `OUT/NAME.keras`, and
`OUT/NAME.npz` with the logs of every step, the codebook and the weights. `NAME=DEVICES<FILE` goes
on from `OUT/FILE.keras`. Runs whose name starts with `levels` train a system with two levels of
groups of every kind of quantiser, instead of FCID; those that start with `plus` its default
preset.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

import keras_cmg
from tests.helpers.small_fcid import small_batch, small_fcid
from tests.helpers.small_systems import small_system

# Sequences compile faster than maps.
NAMES = ("audio", "imu", "text")
BATCH = 8
STEPS = 5
OPTIONS = {
    "backbone": {
        "general": {"feedforward_units": 8, "num_heads": 2, "dropout": 0.0},
        "quantizer": {"dead_code_patience": 2},
    },
    "loss_weights": {"code_matching": 1.0, "segment_infonce": 1.0},
    "codebook_init_step": 0,
    "club": {"hidden_units": 4, "negatives": "permutation"},
}


def make_virtual_devices(count: int) -> None:
    """Splits the processor; before the engine is used."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_num_cpu_devices", count)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )


def batches(first: int, count: int) -> dict[str, np.ndarray]:
    """Steps `first` and after of an endless training set; some clips have no text."""
    parts = [small_batch(NAMES, clips=BATCH, seed=first + step) for step in range(count)]
    data = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    data["text_mask"] = np.any(data["text"] != 0, axis=-1)
    data["text_mask"][::3] = False
    return data


class StepLogs(keras.callbacks.Callback):
    """The logs of every step: running means of the epoch."""

    def on_train_begin(self, logs=None):
        self.rows: list[dict[str, float]] = []

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append({key: float(value) for key, value in logs.items()})


def compiled_model() -> keras_cmg.models.FCID:
    """Clipping is on from the first step."""
    model = small_fcid(NAMES, **OPTIONS)
    model.compile(keras.optimizers.Adam(4e-3, global_clipnorm=0.1), keras.optimizers.Adam(1e-2))
    return model


def model_with_levels() -> keras_cmg.models.Pretrainer:
    """State by averages and by gradient, replaced codes, entropies and dropped levels in one."""
    layers = keras_cmg.layers
    groups = layers.GroupedQuantizer(
        [
            layers.Codebook(5, 2, dead_code_patience=1, initial_scale=1.0),
            layers.LearnedCodebook(
                5, 2, dead_code_patience=1, orthogonality_weight=0.1, initial_scale=1.0
            ),
            layers.LFQ(2, inverse_temperature=1.0, commitment_cost=0.25),
            layers.SimVQ(4, 2, gradient="diveq", noise_scale=0.0),
            layers.ProjectedQuantizer(
                layers.LearnedCodebook(4, 2, gradient="diveq", noise_scale=0.0), 2
            ),
        ]
    )
    quantizer = layers.ResidualQuantizer(groups, num_levels=2, min_levels=1, gradient="rotation")
    backbone = {"embedding_dim": 10, "quantizer": quantizer}
    model = small_system("vanilla", NAMES[:2], backbone=backbone)
    # Adam would enlarge the rounding of gradients that are zero, of biases of attention.
    model.compile(keras.optimizers.SGD(0.1))
    return model


def default_preset() -> keras_cmg.models.FCID:
    """Contrast, and prediction of codes that are assigned over the global batch."""
    keras.utils.set_random_seed(0)
    general = OPTIONS["backbone"]["general"]
    backbone = {"embedding_dim": 8, "num_embeddings": 6, "general": general}
    model = keras_cmg.models.FCID.from_preset("plus", NAMES, backbone=backbone)
    # Larger steps enlarge rounding ten times each.
    model.compile(keras.optimizers.SGD(0.02))
    return model


def train(out: Path, name: str, devices: int | str, start: str = "") -> None:
    with keras_cmg.distribution.distribute(devices) as distribution:
        special = {"levels": model_with_levels, "plus": default_preset}
        new_model = special.get(name.partition("_")[0], compiled_model)
        model = keras.saving.load_model(out / f"{start}.keras") if start else new_model()
        first = int(ops.convert_to_numpy(model.optimizer.iterations)) if start else 0
        logs = StepLogs()
        model.fit(
            batches(first, STEPS), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[logs]
        )
        # The last batch cannot be shared evenly; JAX refuses such.
        clips = 2 * BATCH if keras.backend.backend() == "jax" else 2 * BATCH - 1
        last = {name: array[:clips] for name, array in batches(90, 2).items()}
        last = model.evaluate(last, batch_size=BATCH, verbose=0, return_dict=True)
    results = {key: np.array([row[key] for row in logs.rows]) for key in logs.rows[0]}
    results |= {f"evaluated_{key}": np.array(value) for key, value in last.items()}
    codes = [ops.convert_to_numpy(table).ravel() for table in model.backbone.code_tables()]
    results["codes"] = np.concatenate(codes)
    state = [ops.convert_to_numpy(v).ravel() for v in model.backbone.quantizer.variables]
    results["quantizer"] = np.concatenate([values.astype("float64") for values in state])
    results["iterations"] = ops.convert_to_numpy(model.optimizer.iterations)
    weights = [ops.convert_to_numpy(v).reshape(-1) for v in model.trainable_variables]
    results["weights"] = np.concatenate(weights)
    suffix = "" if distribution.is_chief else f".{distribution.process_index}"
    np.savez(out / f"{name}{suffix}.npz", **results)
    if distribution.is_chief:
        model.save(out / f"{name}.keras")


def main(out: Path, runs: list[str]) -> None:
    make_virtual_devices(int(os.environ.get("VIRTUAL_DEVICES", "1")))
    for run in runs:
        name, _, rest = run.partition("=")
        devices, _, start = rest.partition("<")
        train(out, name, devices if devices == "auto" else int(devices), start)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
