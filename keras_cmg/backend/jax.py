"""JAX: train and test steps. Under `keras.distribution` arrays, and so sums, are global."""

from __future__ import annotations

import contextlib
import functools
import math
import os

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from keras_cmg.backend import keras_internals, neighbourhoods
from keras_cmg.backend.objective import batch_size, evaluation_losses, split_variables
from keras_cmg.engine_settings import CACHED_SECONDS, JAX_CACHE_SECONDS, jax_cache

SCORE_SIZES = (2**20, 2**9)

UNROLLED = False

patches, add_patches = neighbourhoods.patches, neighbourhoods.add_patches

DRAW_SIZES = (2**12, 2**16, 2**20)
OPTIMIZATION = "xla_backend_optimization_level"


def _keep_compiled_programs() -> None:
    """Scripts too keep what they compile, unless the user has chosen a folder, or none."""
    config = jax.config
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    folder = jax_cache()
    if folder is not None:
        config.update("jax_compilation_cache_dir", str(folder))
        if JAX_CACHE_SECONDS not in os.environ:
            config.update("jax_persistent_cache_min_compile_time_secs", CACHED_SECONDS)


_keep_compiled_programs()


def train_step(model, state, data):
    trainable, non_trainable, optimizer_values, metrics = state
    x = model.prepare_batch(data)
    variables = model.trainable_variables
    main, estimators = split_variables(model, variables)
    optimizer = getattr(model.optimizer, "main", model.optimizer)
    count = len(optimizer.variables)
    main_state, estimator_state = optimizer_values[:count], optimizer_values[count:]

    def bound(main_values, estimator_values, non_trainable_values):
        values = _merged(main, main_values, estimators, estimator_values)
        return [
            *zip(variables, values, strict=True),
            *zip(model.non_trainable_variables, non_trainable_values, strict=True),
        ]

    def objective(main_values, estimator_values, estimator_state, non_trainable_values):
        mapping = bound(main_values, estimator_values, non_trainable_values)
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            inputs = model.prepare_step(x, training=True)
        non_trainable_values = _current(scope, model.non_trainable_variables)
        estimator_values, estimator_state, logs = _fit_estimators(
            model,
            inputs.stop_gradient(),
            estimator_values,
            estimator_state,
            lambda values: bound(jax.lax.stop_gradient(main_values), values, non_trainable_values),
        )
        mapping = bound(main_values, estimator_values, non_trainable_values)
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            losses = model.main_losses(inputs)
        non_trainable_values = _current(scope, model.non_trainable_variables)
        with keras.StatelessScope(list(zip(optimizer.variables, main_state, strict=True))):
            scaled = optimizer.scale_loss(losses["loss"])
        logs = {**logs, **losses}
        return scaled, (estimator_values, estimator_state, non_trainable_values, logs)

    main_values = [trainable[i] for i in main]
    estimator_values = [trainable[i] for i in estimators]
    gradients, (estimator_values, estimator_state, non_trainable, logs) = jax.grad(
        objective, has_aux=True
    )(main_values, estimator_values, estimator_state, non_trainable)
    main_values, main_state = optimizer.stateless_apply(main_state, gradients, main_values)
    results, metrics = _track(model, logs, x, metrics)
    trainable = _merged(main, main_values, estimators, estimator_values)
    return results, (trainable, non_trainable, [*main_state, *estimator_state], metrics)


def _fit_estimators(model, inputs, values, state, bound):
    if not values:
        return values, state, {}
    optimizer = model.optimizer.estimator

    def loss(values):
        with keras.StatelessScope(bound(values)):
            losses = model.estimator_loss(inputs)
        return sum(losses.values()), losses

    def step(carry, _):
        values, state = carry
        gradients, losses = jax.grad(loss, has_aux=True)(values)
        values, state = optimizer.stateless_apply(state, gradients, values)
        return (list(values), list(state)), losses

    # One loop, and so one copy of the step in the program, whatever the number of steps.
    carry, losses = jax.lax.scan(step, (values, state), length=model.estimator_steps)
    return *carry, {key: value[-1] for key, value in losses.items()}


def test_step(model, state, data):
    trainable, non_trainable, metrics = state
    x = model.prepare_batch(data)
    mapping = [
        *zip(model.trainable_variables, trainable, strict=True),
        *zip(model.non_trainable_variables, non_trainable, strict=True),
    ]
    with keras.StatelessScope(mapping) as scope:
        losses = evaluation_losses(model, x)
    non_trainable = _current(scope, model.non_trainable_variables)
    logs, metrics = _track(model, losses, x, metrics)
    return logs, (trainable, non_trainable, metrics)


def _track(model, logs, x, metrics):
    mapping = list(zip(model.metrics_variables, metrics, strict=True))
    with keras.StatelessScope(mapping) as scope:
        results = model.track(logs, batch_size(x))
    return results, _current(scope, model.metrics_variables)


def _current(scope, variables):
    return [scope.get_current_value(v) for v in variables]


def _merged(main, main_values, estimators, estimator_values):
    merged = dict(zip(main, main_values, strict=True))
    merged.update(zip(estimators, estimator_values, strict=True))
    return [merged[i] for i in sorted(merged)]


def gradients(objective, variables, inputs):
    def total(values, inputs):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return objective(inputs)

    values = [v.value for v in variables]
    return jax.grad(total, argnums=(0, 1))(values, {**inputs})


def map_chunks(function, values, carry, tensors, num_chunks):
    @jax.checkpoint
    def step(carry, chunk):
        return function(values, carry, chunk)

    rows = tensors[0].shape[0]
    if rows % num_chunks:
        # Chunks of two sizes, which a loop cannot have.
        found = []
        for chunk in zip(*(jax.numpy.array_split(x, num_chunks) for x in tensors), strict=True):
            carry, outputs = step(carry, chunk)
            found.append(outputs)
        return carry, [jax.numpy.concatenate(parts) for parts in zip(*found, strict=True)]
    # Each chunk has rows of every device: clips are spread over devices in blocks.
    chunks = [
        x.reshape(rows // num_chunks, num_chunks, *x.shape[1:]).swapaxes(0, 1) for x in tensors
    ]
    carry, outputs = jax.lax.scan(step, carry, chunks)
    return carry, [x.swapaxes(0, 1).reshape(rows, *x.shape[2:]) for x in outputs]


def num_replicas():
    return 1


def global_sum(x):
    return x


def global_batches(tensors):
    return tensors


def segment_sum(x, indices, num_segments):
    return keras.ops.segment_sum(x, indices, num_segments=num_segments)


def matmul(x, y):
    return jax.numpy.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


@jax.jit
def best_columns(x, y, z):
    scores = matmul(x, y) + z
    values = jax.numpy.max(scores, axis=1)
    # XLA makes vector instructions of this, and not of `argmax`.
    numbers = jax.lax.broadcasted_iota("int32", scores.shape, 1)
    last = scores.shape[1] - 1
    places = jax.numpy.where(scores == values[:, None], numbers, last)
    return values, jax.numpy.min(places, axis=1)


def wait_for_replicas():
    """Does nothing: a process has one replica."""


def own_losses(losses):
    return losses


def has_values(x):
    return not isinstance(x, jax.core.Tracer)


def process_index(model):
    return jax.process_index()


def reader_shard():
    return (jax.process_index(), jax.process_count())


def distribution(devices):
    several = os.environ.get("KERAS_DISTRIBUTION_JOB_ADDRESSES")
    if several and not jax.distributed.is_initialized():
        keras.distribution.initialize()
    found = keras.distribution.list_devices()
    count = len(found) if devices == "auto" else devices
    if count > len(found) or (jax.process_count() > 1 and count != len(found)):
        raise ValueError(
            "`devices` must be 'auto' or at most the number of devices, and all of them where "
            f"several processes train. Received: {devices} of {found}"
        )
    # Each process reads its own rows, see `keras_cmg.distribution.ProcessShard`.
    spread = keras.distribution.DataParallel(devices=found[:count], auto_shard_dataset=False)
    return spread.scope(), count, jax.process_index(), jax.process_count()


def broadcast_array(array):
    if jax.process_count() == 1:
        return array
    # All processes must send arrays of the same shape: the rank and the sizes first.
    shape = np.zeros(8, "int32")
    shape[: array.ndim + 1] = (array.ndim, *array.shape)
    rank, *sizes = multihost_utils.broadcast_one_to_all(shape).tolist()
    own = array if jax.process_index() == 0 else np.zeros(sizes[:rank], array.dtype)
    return np.asarray(multihost_utils.broadcast_one_to_all(own))


def broadcast_variables(model):
    """Does nothing: Keras places every variable once for all devices."""


def build_before_training(model, iterator, data_batch):
    """Does nothing: Keras builds the model from the shapes of a batch."""


def initialization():
    return keras_internals.replaced_initialization(_draw, _fill)


def _draw(function, shape, *args, **kwargs):
    """Draws from a program that many shapes share: JAX would compile one for each.

    An element depends on the key and on its place, so that the first of more are the same.
    """
    count = math.prod(shape)
    size = next((size for size in DRAW_SIZES if size >= count), count)
    by_place = jax.config.jax_threefry_partitionable
    if not by_place or jax.config.jax_default_prng_impl != "threefry2x32":
        return function(shape, *args, **kwargs)
    values = function((size,), *args, **kwargs)
    if isinstance(values, jax.core.Tracer):
        return values[:count].reshape(shape)
    return jax.device_put(np.asarray(values)[:count].reshape(shape), may_alias=False)


def _fill(function, shape, *args, **kwargs):
    """Fills in NumPy, which compiles nothing."""
    value = function((), *args, **kwargs)
    if isinstance(value, jax.core.Tracer):
        return function(shape, *args, **kwargs)
    return jax.device_put(np.full(shape, value), may_alias=False)


def step_compilation():
    """LLVM's third level takes half as long again as the first, and a step is no faster."""
    given = OPTIMIZATION in os.environ.get("XLA_FLAGS", "")
    if given or jax.default_backend() != "cpu":
        return contextlib.nullcontext()
    return keras_internals.compiled_with({OPTIMIZATION: 1})


def apply_adam(optimizer, moments, epsilon_last, gradients, variables, learning_rate):
    """One operation of the traced step per variable, traced once per shape."""
    places = [keras_internals.variable_index(optimizer, v) for v in variables]
    first, second = ([getattr(optimizer, name)[i] for i in places] for name in moments)
    learning_rate = keras.ops.convert_to_tensor(learning_rate)
    done = keras.ops.convert_to_tensor(optimizer.iterations)
    decays = (optimizer.beta_1, optimizer.beta_2)
    for variable, gradient, *own in zip(variables, gradients, first, second, strict=True):
        new = _adam(
            variable.value,
            gradient,
            *(moment.value for moment in own),
            learning_rate,
            done,
            decays=decays,
            epsilon=optimizer.epsilon,
            epsilon_last=epsilon_last,
        )
        for changed, value in zip((variable, *own), new, strict=True):
            changed.assign(value)


@functools.partial(jax.jit, static_argnames=("decays", "epsilon", "epsilon_last"))
def _adam(value, gradient, first, second, learning_rate, done, *, decays, epsilon, epsilon_last):
    dtype = value.dtype
    gradient = gradient.astype(dtype)
    rate = learning_rate.astype(dtype)
    step = (done + 1).astype(dtype)
    first += (gradient - first) * (1 - decays[0])
    second += (jax.numpy.square(gradient) - second) * (1 - decays[1])
    if epsilon_last:
        # 1 - beta^t by `expm1`, since the difference loses digits near zero.
        mean, square = (
            moment / -jax.numpy.expm1(step * math.log(decay))
            for moment, decay in zip((first, second), decays, strict=True)
        )
        return value - rate * mean / (jax.numpy.sqrt(square) + epsilon), first, second
    powers = [jax.numpy.power(jax.numpy.asarray(decay, dtype), step) for decay in decays]
    rate = rate * jax.numpy.sqrt(1 - powers[1]) / (1 - powers[0])
    return value - first * rate / (jax.numpy.sqrt(second) + epsilon), first, second


def jit_compile(requested):
    return requested
