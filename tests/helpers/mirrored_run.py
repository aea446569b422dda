"""Trains a small FCID on two logical CPUs with `tf.distribute.MirroredStrategy`, and on one.

`python -m tests.helpers.mirrored_run OUT.npz` saves both codebooks and both models' losses.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from tests.helpers.small_fcid import compiled_fcid, small_batch

NAMES = ("audio", "video")
OPTIONS = {
    "backbone": {
        "general": {"feedforward_units": 8, "num_heads": 2, "dropout": 0.0},
        "codebook": {"revive_after": 2},
    },
    # Contrastive terms compare clips within a replica, so they differ by construction.
    "loss_weights": {"cpc": 0.0, "club_audio": 0.0, "club_video": 0.0, "club_audiovisual": 0.0},
}


def main(path: str) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {}
    for name in ("one", "two"):
        with strategy.scope() if name == "two" else tf.device("CPU:0"):
            model = compiled_fcid(NAMES, **OPTIONS, jit_compile=False)
        data = tf.data.Dataset.from_tensor_slices((small_batch(NAMES, clips=8),)).batch(4)
        history = model.fit(data, epochs=3, verbose=0).history
        results[f"{name}_codebook"] = model.backbone.codebook
        results[f"{name}_loss"] = history["loss"]
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
