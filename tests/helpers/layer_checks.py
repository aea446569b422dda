"""What every layer must stand: configuration, shapes, files, a training step, mixed precision."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops, tree

Arrays = tuple[Any, ...]


def gradient(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """Gradient of a scalar function of one array, on the engine in use."""
    name = keras.backend.backend()
    if name == "jax":
        import jax

        return np.asarray(jax.grad(function)(x))
    if name == "tensorflow":
        import tensorflow as tf

        variable = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(variable)
            value = function(variable)
        return tape.gradient(value, variable).numpy()
    import torch

    leaf = torch.tensor(x, requires_grad=True)
    (result,) = torch.autograd.grad(function(leaf), leaf)
    return result.numpy()


def numpy_state(layer: keras.Layer) -> list[np.ndarray]:
    """Copies of all of a layer's variables."""
    return [np.array(ops.convert_to_numpy(v)) for v in layer.variables]


def unchanged(layer: keras.Layer, before: list[np.ndarray]) -> bool:
    """Whether a layer's variables are those of `numpy_state` before."""
    return all(np.array_equal(a, b) for a, b in zip(numpy_state(layer), before, strict=True))


def check_layer(
    make: Callable[..., keras.Layer],
    arrays: Arrays,
    folder: Path,
    full_precision: bool = False,
    prepare: Callable[[keras.Layer], Any] = lambda layer: None,
    **options: Any,
) -> None:
    """All checks; `make(**kwargs)` gives the layer, which is called `layer(*arrays, **options)`."""
    layer = make(name="checked")
    prepare(layer)
    outputs = layer(*arrays, **options)
    inputs = tree.map_structure(_input_like, list(arrays))
    symbolic = layer(*inputs, **options)
    check_configuration(layer)
    check_symbolic_shape(symbolic, outputs)
    check_inference_keeps_state(layer, arrays, options)
    check_saving(keras.Model(inputs, symbolic), arrays, folder)
    if layer.trainable_variables:
        check_training_step(layer, inputs, symbolic, arrays)
    mixed = make(dtype="mixed_bfloat16")
    prepare(mixed)
    check_mixed_precision(mixed, mixed(*arrays, **options), full_precision)


def check_configuration(layer: keras.Layer) -> None:
    config = layer.get_config()
    again = type(layer).from_config(dict(config))
    assert again.get_config() == config
    serialized = keras.saving.serialize_keras_object(layer)
    assert keras.saving.deserialize_keras_object(serialized).get_config() == config


def check_symbolic_shape(symbolic: Any, outputs: Any) -> None:
    tree.assert_same_structure(symbolic, outputs)
    for spec, value in zip(tree.flatten(symbolic), tree.flatten(outputs), strict=True):
        assert len(spec.shape) == len(value.shape)
        for expected, size in zip(spec.shape, value.shape, strict=True):
            assert expected in (None, size), (spec.shape, tuple(value.shape))


def check_inference_keeps_state(layer: keras.Layer, arrays: Arrays, options: dict) -> None:
    before = numpy_state(layer)
    layer(*arrays, **options)
    assert unchanged(layer, before)


def check_saving(model: keras.Model, arrays: Arrays, folder: Path) -> None:
    model.save(folder / "layer.keras")
    loaded = keras.saving.load_model(folder / "layer.keras", safe_mode=True)
    before, after = (tree.flatten(m(list(arrays))) for m in (model, loaded))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(_numpy(a), _numpy(b))


def check_training_step(layer: keras.Layer, inputs: Any, symbolic: Any, arrays: Arrays) -> None:
    floats = [v for v in tree.flatten(symbolic) if "float" in v.dtype]
    model = keras.Model(inputs, [keras.layers.Identity()(v) for v in floats])
    model.compile(keras.optimizers.SGD(1.0), ["mse"] * len(floats))
    targets = [np.ones(ops.shape(v), "float32") for v in tree.flatten(model(list(arrays)))]
    before = numpy_state(layer)
    with warnings.catch_warnings():
        # A specific encoder's summary is no part of its call.
        warnings.filterwarnings("ignore", "Gradients do not exist for variables .*summary")
        loss = model.train_on_batch(list(arrays), targets)
    assert np.isfinite(loss).all()
    assert not unchanged(layer, before)


def check_mixed_precision(layer: keras.Layer, outputs: Any, full_precision: bool) -> None:
    dtypes = {keras.backend.standardize_dtype(v.dtype) for v in tree.flatten(outputs)}
    expected = "float32" if full_precision else "bfloat16"
    assert {name for name in dtypes if "float" in name} == {expected}
    assert all(v.dtype == "float32" for v in layer.variables if "float" in v.dtype)


def _input_like(array: Any) -> keras.KerasTensor:
    return keras.Input(array.shape[1:], dtype=keras.backend.standardize_dtype(array.dtype))


def _numpy(value: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.stop_gradient(value))
