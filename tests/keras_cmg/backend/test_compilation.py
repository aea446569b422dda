"""What compiled engines compile before and in a step, and how often."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import engine
from tests.helpers.small_fcid import compiled_fcid, small_batch

ENGINE = keras.backend.backend()

pytestmark = [
    pytest.mark.every_engine,
    pytest.mark.skipif(ENGINE == "torch", reason="PyTorch compiles nothing"),
]
on_jax = pytest.mark.skipif(ENGINE != "jax", reason="of JAX alone")
on_tensorflow = pytest.mark.skipif(ENGINE != "tensorflow", reason="of TensorFlow alone")

INITIALIZERS = {
    "uniform": lambda: keras.initializers.GlorotUniform(seed=3),
    "normal": lambda: keras.initializers.RandomNormal(stddev=0.5, seed=3),
    "truncated": lambda: keras.initializers.HeNormal(seed=3),
    "orthogonal": lambda: keras.initializers.Orthogonal(seed=3),
    "zeros": keras.initializers.Zeros,
    "ones": keras.initializers.Ones,
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(3, 5), (70, 90)])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights_are_those_of_keras(name, shape, dtype):
    if name == "orthogonal" and dtype == "bfloat16":
        pytest.skip("LAPACK has no half precision")
    expected = INITIALIZERS[name]()(shape, dtype)
    with engine.current().initialization():
        found = INITIALIZERS[name]()(shape, dtype)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    np.testing.assert_array_equal(ops.convert_to_numpy(found), ops.convert_to_numpy(expected))


@on_jax
def test_layers_of_other_shapes_compile_nothing():
    import jax

    compiled = []

    def build(sizes):
        with engine.current().initialization():
            for units in sizes:
                keras.layers.Dense(units, dtype="float32").build((None, 2 * units))

    build([5])
    listener = lambda name, seconds, **_: compiled.append(name)  # noqa: E731
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        build([6, 7, 8, 9])
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert [name for name in compiled if "backend_compile" in name] == []


@on_jax
def test_steps_are_compiled_at_the_first_level(monkeypatch):
    from keras.src.backend.jax import trainer

    monkeypatch.delenv("XLA_FLAGS", raising=False)
    given, original = [], trainer.jit
    monkeypatch.setattr(trainer, "jit", lambda *args, **kwargs: given.append(kwargs))
    replaced = trainer.jit
    model = compiled_fcid()
    for make in (model.make_train_function, model.make_test_function):
        make(force=True)
    assert [kwargs["compiler_options"] for kwargs in given] == [
        {"xla_backend_optimization_level": 1}
    ] * 2
    assert trainer.jit is replaced
    monkeypatch.setattr(trainer, "jit", original)
    # A choice of the user stays.
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    with engine.current().step_compilation():
        assert trainer.jit is original


def size_of_step(model):
    """Operations of a compiled training step."""
    batch = small_batch()
    if ENGINE == "tensorflow":
        import tensorflow as tf

        step = tf.function(lambda: model.train_step((batch,)))
        return len(step.get_concrete_function().graph.get_operations())
    import jax

    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([v.value for v in variables] for variables in groups)
    return str(jax.make_jaxpr(model.train_step)(state, (batch,))).count("\n")


def test_a_step_has_one_copy_of_the_estimators():
    model = compiled_fcid()
    model.build({name: x.shape for name, x in small_batch().items()})
    model.optimizer.build(model.trainable_variables)
    sizes = set()
    for steps in (2, 5):
        model.estimator_steps = steps
        sizes.add(size_of_step(model))
    assert len(sizes) == 1


@on_tensorflow
def test_fit_traces_a_step_once_and_without_autograph(monkeypatch):
    import tensorflow as tf

    module, statuses = engine.current(), []
    prepare = module._fit_estimators

    def traced(*args):
        statuses.append(tf.__internal__.autograph.control_status_ctx().status.name)
        return prepare(*args)

    monkeypatch.setattr(module, "_fit_estimators", traced)
    model = compiled_fcid()
    model.fit(small_batch(), batch_size=4, verbose=0)
    assert statuses == ["DISABLED"]
