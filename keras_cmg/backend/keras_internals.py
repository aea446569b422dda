"""Every use of a name that Keras keeps private, one function each.

`CHECKED` lists the names with the versions of Keras in which they were found. A test asserts that
the installed Keras lies in that range and has each of them, so that a new release of Keras shows
here first.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras

CHECKED: dict[str, tuple[str, str]] = {
    "Adam._momentums": ("3.15.0", "3.15.1"),
    "Adam._velocities": ("3.15.0", "3.15.1"),
    "Model._loss_tracker": ("3.15.0", "3.15.1"),
    "Model._flatten_layers": ("3.15.0", "3.15.1"),
    "Model._maybe_symbolic_build": ("3.15.0", "3.15.1"),
    "MultiHeadAttention._masked_softmax": ("3.15.0", "3.15.1"),
    "Optimizer._trainable_variables": ("3.15.0", "3.15.1"),
    "Optimizer._get_variable_index": ("3.15.0", "3.15.1"),
    "Optimizer._model_variables_moving_average": ("3.15.0", "3.15.1"),
    "Optimizer._backend_update_step": ("3.15.0", "3.15.1"),
    "Optimizer._distribution_strategy": ("3.15.0", "3.15.1"),
    "Optimizer._all_reduce_sum_gradients": ("3.15.0", "3.15.1"),
    "keras.src.backend.common.variables": ("3.15.0", "3.15.1"),
    "keras.src.backend.jax.numpy": ("3.15.0", "3.15.1"),
    "keras.src.backend.jax.random": ("3.15.0", "3.15.1"),
    "keras.src.backend.jax.trainer": ("3.15.0", "3.15.1"),
    "keras.src.backend.tensorflow.trainer": ("3.15.0", "3.15.1"),
    "keras.src.backend.torch.optimizers": ("3.15.0", "3.15.1"),
    "keras.src.backend.torch.random": ("3.15.0", "3.15.1"),
}
"""Private name to the oldest and the newest version of Keras that were seen to have it.

`_maybe_symbolic_build`, `_distribution_strategy` and `_all_reduce_sum_gradients` exist on
TensorFlow alone.
"""

_TORCH_OPTIMIZERS = "keras.src.backend.torch.optimizers"


def loss_tracker(model: keras.Model) -> keras.metrics.Mean:
    """Returns the running mean that Keras logs under `"loss"`.

    Args:
        model: a compiled model.

    Returns:
        The metric.

    Example:

    >>> model = keras_cmg.models.FCID(("audio",))
    >>> model.compile()
    >>> loss_tracker(model).name
    'loss'
    """
    return model._loss_tracker


def all_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a layer and every layer nested in it.

    Args:
        model: a layer or a model.

    Returns:
        List of layers, `model` first.

    Example:

    >>> [type(layer).__name__ for layer in all_layers(keras.layers.Dense(1))]
    ['Dense']
    """
    return list(model._flatten_layers())


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that are attributes of a layer, without those nested in them.

    Args:
        layer: a layer or a model.

    Returns:
        List of layers.

    Example:

    >>> [inner.name for inner in sublayers(keras_cmg.models.LinearProbe(3))]
    ['dense']
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def set_build_before_training(
    cls: type[keras.Model], method: Callable[[Any, Any, Any], None]
) -> None:
    """Replaces how Keras on TensorFlow builds a model before the first step.

    Keras averages a batch over replicas to learn its shapes, which fails on boolean masks.

    Args:
        cls: class of models.
        method: called with the model, an epoch iterator or None, and a batch or None.

    Example:

    >>> class Model(keras.Model):
    ...     pass
    >>> set_build_before_training(Model, lambda model, iterator, data_batch: None)
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        method(self, iterator, data_batch)

    cls._maybe_symbolic_build = _maybe_symbolic_build


def batch_signature(iterator: Any) -> Any:
    """Returns the shapes of the batches of an epoch on TensorFlow, without reading one.

    Args:
        iterator: what `set_build_before_training` passes on.

    Returns:
        Nest of `tf.TensorSpec`, of the structure of a batch.

    Example:

    >>> from types import SimpleNamespace
    >>> dataset = SimpleNamespace(element_spec=({"audio": "shape"},))
    >>> batch_signature(SimpleNamespace(_distributed_dataset=dataset))
    ({'audio': 'shape'},)
    """
    return iterator._distributed_dataset.element_spec


def set_attention_softmax(
    cls: type[keras.layers.MultiHeadAttention], softmax: Callable[[Any, Any], Any]
) -> None:
    """Replaces the softmax of a class of attention layers.

    Args:
        cls: subclass of `keras.layers.MultiHeadAttention`.
        softmax: function of the scores and an attention mask or None to weights of their shape.

    Example:

    >>> class Uniform(keras.layers.MultiHeadAttention):
    ...     pass
    >>> set_attention_softmax(Uniform, lambda scores, mask: ops.ones_like(scores))
    """

    def _masked_softmax(self, attention_scores, attention_mask=None):
        return softmax(attention_scores, attention_mask)

    cls._masked_softmax = _masked_softmax


@contextlib.contextmanager
def replaced_initialization(draw: Callable[..., Any], fill: Callable[..., Any]) -> Iterator[None]:
    """Lets initialisers on JAX call other functions, until the block ends.

    Args:
        draw: function of a function of Keras that draws, a shape and the other arguments.
        fill: function of a function of Keras that fills with a constant, a shape and the other
            arguments.

    Example:

    >>> def draw(function, shape, *args, **kwargs):
    ...     return function(shape, *args, **kwargs)
    >>> if keras.backend.backend() == "jax":
    ...     with replaced_initialization(draw, draw):
    ...         keras.layers.Dense(2).build((None, 3))
    """
    from keras.src.backend.jax import numpy, random

    kept = [
        (module, name, replacement, getattr(module, name))
        for module, replacement, names in (
            (random, draw, ("uniform", "normal", "truncated_normal")),
            (numpy, fill, ("zeros", "ones")),
        )
        for name in names
    ]
    for module, name, replacement, original in kept:
        setattr(module, name, functools.partial(replacement, original))
    try:
        yield
    finally:
        for module, name, _, original in kept:
            setattr(module, name, original)


@contextlib.contextmanager
def compiled_with(options: Mapping[str, Any]) -> Iterator[None]:
    """Compiles the functions that Keras makes for `fit` on JAX with options, within the block.

    Args:
        options: of XLA, name to value.

    Example:

    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> if keras.backend.backend() == "jax":
    ...     with compiled_with({"xla_backend_optimization_level": 1}):
    ...         model.make_train_function()
    """
    from keras.src.backend.jax import trainer

    original = trainer.jit
    trainer.jit = functools.partial(original, compiler_options=dict(options))
    try:
        yield
    finally:
        trainer.jit = original


def full_precision_values(variables: list) -> list:
    """Returns the values of variables in their own dtype.

    Within the call of a layer of mixed precision, `variable.value` is cast to the layer's dtype.

    Args:
        variables: Keras variables.

    Returns:
        List of tensors.

    Example:

    >>> [x.tolist() for x in full_precision_values([keras.Variable([1.0, 2.0])])]
    [[1.0, 2.0]]
    """
    from keras.src.backend.common.variables import AutocastScope

    with AutocastScope(None):
        return [variable.value for variable in variables]


def optimized_variables(optimizer: keras.optimizers.Optimizer) -> list:
    """Returns the variables that an optimiser was built with.

    Args:
        optimizer: a Keras optimiser.

    Returns:
        List of Keras variables, empty before `build`.

    Example:

    >>> optimized_variables(keras.optimizers.SGD())
    []
    """
    return optimizer._trainable_variables


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Returns the position of a variable among those that an optimiser was built with.

    Args:
        optimizer: a built Keras optimiser.
        variable: as `update_step` receives it: a `tf.Variable` on TensorFlow, else a Keras
            variable.

    Returns:
        The position.

    Example:

    >>> optimizer, x = keras.optimizers.SGD(), keras.Variable(1.0)
    >>> optimizer.build([x])
    >>> variable_index(optimizer, x)
    0
    """
    return optimizer._get_variable_index(variable)


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list:
    """Returns the moving averages of the weights that `use_ema=True` keeps.

    Args:
        optimizer: a built Keras optimiser.

    Returns:
        One variable per trainable variable; empty without `use_ema`.

    Example:

    >>> optimizer = keras.optimizers.SGD(use_ema=True)
    >>> optimizer.build([keras.Variable(1.0)])
    >>> len(moving_averages(optimizer))
    1
    """
    return getattr(optimizer, "_model_variables_moving_average", [])


def expose_moving_averages(
    cls: type[keras.optimizers.Optimizer], pairs: Callable[[Any], list[tuple[Any, Any]]]
) -> None:
    """Lets `keras.callbacks.SwapEMAWeights` find the averages of the optimisers inside another.

    The callback looks for two lists of variables on the model's optimiser: its trainable variables
    and their averages.

    Args:
        cls: class of optimisers that hold others.
        pairs: function of an instance to pairs of a variable and its average.

    Example:

    >>> class Outer(keras.optimizers.Optimizer):
    ...     pass
    >>> expose_moving_averages(Outer, lambda optimizer: [])
    >>> moving_averages(Outer(0.1))
    []
    """

    def variables(self):
        return [variable for variable, _ in pairs(self)]

    def set_variables(self, value):
        """Keras sets an empty list when an optimiser is made."""

    def averages(self):
        found = [average for _, average in pairs(self)]
        if not found:
            # `hasattr` is how the callback asks whether there are averages.
            raise AttributeError("No optimiser inside was built with `use_ema=True`.")
        return found

    cls._trainable_variables = property(variables, set_variables)
    cls._model_variables_moving_average = property(averages)


ADAM_MOMENTS = ("_momentums", "_velocities")
"""Attributes of Adam that hold its first and second moments."""


def is_plain_adam(optimizer: keras.optimizers.Optimizer) -> bool:
    """Returns whether an optimiser updates its variables as Adam with two moments does.

    Args:
        optimizer: a Keras optimiser.

    Returns:
        True for `Adam` and `AdamW`, but for subclasses and with `amsgrad`.

    Example:

    >>> is_plain_adam(keras.optimizers.Adam()), is_plain_adam(keras.optimizers.Adamax())
    (True, False)
    """
    module, name = type(optimizer).__module__, type(optimizer).__name__
    plain = name in ("Adam", "AdamW") and module.startswith("keras.src.")
    return plain and not optimizer.amsgrad


def replace_update(
    optimizer: keras.optimizers.Optimizer, update: Callable[[list, list, Any], None]
) -> None:
    """Replaces how an optimiser updates its variables, after clipping and weight decay.

    Args:
        optimizer: a Keras optimiser.
        update: function of gradients, Keras variables and the learning rate.

    Example:

    >>> optimizer, seen = keras.optimizers.SGD(0.5), []
    >>> replace_update(optimizer, lambda gradients, variables, rate: seen.append(float(rate)))
    >>> optimizer.apply([ops.ones(())], [keras.Variable(1.0)])
    >>> seen
    [0.5]
    """
    optimizer._backend_update_step = update


def original_update(
    optimizer: keras.optimizers.Optimizer, gradients: list, variables: list, learning_rate: Any
) -> None:
    """Updates variables as the class of the optimiser does, whatever `replace_update` has set.

    Args:
        optimizer: a built Keras optimiser.
        gradients: one tensor per variable.
        variables: Keras variables.
        learning_rate: float or scalar.

    Example:

    >>> optimizer, x = keras.optimizers.SGD(), keras.Variable(1.0)
    >>> optimizer.build([x])
    >>> original_update(optimizer, [ops.ones(())], [x], 0.25)
    >>> float(ops.convert_to_numpy(x))
    0.75
    """
    type(optimizer)._backend_update_step(optimizer, gradients, variables, learning_rate)


def disable_gradient_reduction(optimizer: keras.optimizers.Optimizer) -> None:
    """Stops an optimiser on TensorFlow from summing gradients over replicas.

    For gradients that were summed already. Keras would sum after clipping each replica's part.

    Args:
        optimizer: a Keras optimiser.

    Example:

    >>> disable_gradient_reduction(keras.optimizers.SGD())
    """
    optimizer._all_reduce_sum_gradients = list


def portable_config(config: Any) -> Any:
    """Returns the config of an optimiser under its public name, in nested configs too.

    Keras on PyTorch writes the name of a private module, which trains on no other engine.

    Args:
        config: serialised Keras object, or a nest of such.

    Returns:
        The same with public names.

    Example:

    >>> config = keras.saving.serialize_keras_object(keras.optimizers.Adam())
    >>> portable_config(config)["module"]
    'keras.optimizers'
    """
    if isinstance(config, dict):
        if (config.get("module") or "").startswith(_TORCH_OPTIMIZERS):
            config = {**config, "module": "keras.optimizers", "registered_name": None}
        return {key: portable_config(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [portable_config(value) for value in config]
    return config


def random_states(variables: Iterable[Any]) -> list[Any]:
    """Returns the states of Keras' random generators among variables.

    Args:
        variables: Keras variables.

    Returns:
        List of those that hold a seed and a counter, in their order.

    Example:

    >>> dropout = keras.layers.Dropout(0.5, seed=7)
    >>> [np.array(ops.convert_to_numpy(v)).tolist() for v in random_states(dropout.variables)]
    [[7, 0]]
    """
    return [variable for variable in variables if variable.name == "seed_generator_state"]


@contextlib.contextmanager
def torch_generator(generator: Any) -> Iterator[None]:
    """Lets random operations of Keras on PyTorch draw from one generator.

    Keras makes a generator for each operation and reads its seed from the device. In this context
    the counters of seeds advance as before, on the device, but the numbers are drawn from
    `generator`.

    Args:
        generator: `torch.Generator`.

    Example:

    >>> with torch_generator(None):
    ...     x = keras.layers.Dropout(0.5)(ops.ones((2,)), training=False)
    >>> x.tolist()
    [1.0, 1.0]
    """
    random: Any = importlib.import_module("keras.src.backend.torch.random")

    def given(seed):
        random.draw_seed(seed)
        return generator

    before, random.torch_seed_generator = random.torch_seed_generator, given
    try:
        yield
    finally:
        random.torch_seed_generator = before
