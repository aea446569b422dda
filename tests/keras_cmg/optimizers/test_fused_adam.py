"""Adam in few operations gives the numbers of Adam operation by operation."""

import functools
import pickle

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import engine, keras_internals
from keras_cmg.optimizers.module_clipped_adam import ModuleClippedAdam

OPTIMIZERS = {
    "adam": functools.partial(keras.optimizers.Adam, 0.01),
    "adamw": functools.partial(keras.optimizers.AdamW, 0.01, weight_decay=0.1),
    "clipped": functools.partial(keras.optimizers.Adam, 0.01, global_clipnorm=0.1, epsilon=1e-3),
    "accumulating": functools.partial(
        keras.optimizers.Adam, 0.01, gradient_accumulation_steps=2, beta_2=0.9
    ),
    "scheduled": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 5)),
    "amsgrad": functools.partial(keras.optimizers.Adam, 0.01, amsgrad=True),
    "other": functools.partial(keras.optimizers.SGD, 0.01),
    "module clipped": functools.partial(ModuleClippedAdam, 0.01, modules={"all": ""}),
}


SHAPES = [(3, 4), (), (5,)]
STEPS = 6


def trained(optimizer, dtype="float32"):
    random = np.random.default_rng(0)
    variables = [keras.Variable(random.standard_normal(s), dtype=dtype) for s in SHAPES]
    optimizer.build(variables)
    for _ in range(STEPS):
        gradients = [ops.convert_to_tensor(random.standard_normal(s), dtype) for s in SHAPES]
        optimizer.apply(gradients, variables)
    return [np.array(ops.convert_to_numpy(v)) for v in variables]


@pytest.mark.every_engine
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equal_to_the_update_operation_by_operation(name):
    fused, plain = OPTIMIZERS[name](), OPTIMIZERS[name]()
    if name != "module clipped":
        engine.fuse_adam(fused)
    found = trained(fused)
    build = plain.build
    plain.build = lambda variables: _build_unfused(plain, build, variables)
    for x, y in zip(found, trained(plain), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6)


def _build_unfused(optimizer, build, variables):
    build(variables)
    update = functools.partial(keras_internals.original_update, optimizer)
    keras_internals.replace_update(optimizer, update)


@pytest.mark.every_engine
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has no float64 by default")
def test_keeps_double_precision():
    """Constants rounded to float32 on the way would show in the seventh digit."""
    optimizer = keras.optimizers.Adam(0.25)
    engine.fuse_adam(optimizer)
    random = np.random.default_rng(0)
    expected = [random.standard_normal(shape) for shape in SHAPES]
    moments = [(np.zeros(shape), np.zeros(shape)) for shape in SHAPES]
    for step in range(1, STEPS + 1):
        for i, shape in enumerate(SHAPES):
            gradient = random.standard_normal(shape)
            first = 0.9 * moments[i][0] + 0.1 * gradient
            second = 0.999 * moments[i][1] + 0.001 * gradient**2
            rate = 0.25 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            expected[i] = expected[i] - rate * first / (np.sqrt(second) + 1e-7)
            moments[i] = (first, second)
    for x, y in zip(trained(optimizer, "float64"), expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9)


@pytest.mark.every_engine
def test_rows_of_an_embedding_are_updated_as_by_keras():
    def trained_embedding(fused):
        model = keras.Sequential([keras.layers.Embedding(5, 2, embeddings_initializer="ones")])
        optimizer = keras.optimizers.Adam(0.1)
        if fused:
            engine.fuse_adam(optimizer)
        model.compile(optimizer, "mse")
        model.fit(np.array([[1, 3]]), np.zeros((1, 2, 2), "float32"), epochs=3, verbose=0)
        return model.get_weights()[0]

    fused = trained_embedding(True)
    np.testing.assert_allclose(fused, trained_embedding(False), rtol=1e-5)
    assert (fused[[1, 3]] < 0.8).all()


def test_is_used_by_the_optimisers_it_is_for():
    def fused(optimizer):
        engine.fuse_adam(optimizer)
        return "_backend_update_step" in vars(optimizer)

    used = {name for name, make in OPTIMIZERS.items() if fused(make())}
    assert used == {"adam", "adamw", "clipped", "accumulating", "scheduled"}


def test_optimizer_remains_picklable_and_its_config_is_unchanged():
    optimizer = keras.optimizers.Adam(0.01)
    config = optimizer.get_config()
    engine.fuse_adam(optimizer)
    assert optimizer.get_config() == config
    assert pickle.loads(pickle.dumps(optimizer)).get_config() == config
