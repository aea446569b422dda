"""`fit` on a store trains the steps it should, and goes on in the middle of an epoch."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools import load
from data_tools.store import Field, StoreWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty rows with labels."""
    root = tmp_path_factory.mktemp("fit") / "store"
    rng = np.random.default_rng(0)
    with StoreWriter(root, {"audio": Field((4,)), "labels": Field((1,))}, shard_rows=30) as writer:
        for number in range(80):
            arrays = {"audio": rng.normal(size=4), "labels": rng.normal(size=1)}
            writer.append(str(number), arrays)
    return root


def build() -> keras.Model:
    """A linear model on the sound."""
    inputs = {"audio": keras.Input((4,), name="audio")}
    outputs = keras.layers.Dense(1, kernel_initializer="zeros")(inputs["audio"])
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=False)
    return model


@pytest.mark.every_engine
@pytest.mark.parametrize("format", ["pydataset", "tf"])
def test_training_resumes_in_mid_epoch(store: Path, format: str) -> None:
    if format == "tf":
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
        if keras.backend.backend() == "torch":
            pytest.skip("the torch trainer needs no tf.data")
    options = {"batch_size": 2, "seed": 5, "shuffle": True, "labels": True, "format": format}
    whole = build()
    whole.fit(load(store, **options), epochs=2, shuffle=False, verbose=0)
    # 23 of the 40 steps of an epoch; then, in a model made anew, a pass of 40 and the last 17.
    part = build()
    part.fit(load(store, **options), epochs=1, steps_per_epoch=23, shuffle=False, verbose=0)
    model = build()
    model.optimizer.build(model.trainable_variables)
    model.set_weights(part.get_weights())
    for one, other in zip(model.optimizer.variables, part.optimizer.variables, strict=True):
        one.assign(other)
    step = int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    assert step == 23
    model.fit(load(store, start_step=step, **options), epochs=1, shuffle=False, verbose=0)
    rest = load(store, start_step=step + 40, **options)
    model.fit(rest, epochs=1, steps_per_epoch=17, shuffle=False, verbose=0)
    for one, other in zip(whole.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
