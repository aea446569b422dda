"""TensorFlow: train and test steps, sums over the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_cmg.backend import keras_internals, neighbourhoods
from keras_cmg.backend.objective import (
    batch_size,
    evaluation_losses,
    split_variables,
)

SUM = tf.distribute.ReduceOp.SUM

_STRATEGY_KEYS = itertools.count(1000, 1000)

SCORE_SIZES = (2**23, 2**15)

UNROLLED = False

patches, add_patches = neighbourhoods.patches, neighbourhoods.add_patches


# AutoGraph, which rewrites functions with conditions on tensors, is most of the time that the trace
# of a step takes. Code for several engines has no such conditions.
@tf.autograph.experimental.do_not_convert
def train_step(model, data):
    x = model.prepare_batch(data)
    _build(model, x)
    variables = model.trainable_variables
    main, estimators = ([variables[i] for i in part] for part in split_variables(model, variables))
    with tf.GradientTape() as tape:
        inputs = model.prepare_step(x, training=True)
        with tape.stop_recording():
            logs = _fit_estimators(model, inputs.stop_gradient(), estimators)
        losses = model.main_losses(inputs)
        optimizer = getattr(model.optimizer, "main", model.optimizer)
        # Each replica has the loss of the global batch; gradients are summed over replicas.
        scaled = optimizer.scale_loss(losses["loss"]) / num_replicas()
    gradients = tape.gradient(
        scaled, [v.value for v in main], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    _apply(optimizer, gradients, main)
    return _logs(model.track({**logs, **losses}, batch_size(x)))


def build_before_training(model, iterator, data_batch):
    """Creates variables: a function that does is traced twice, and cannot on several replicas."""
    if num_replicas(model.distribute_strategy) > 1:
        for _, _, batches in iterator or ():
            data_batch = keras.tree.map_structure(_of_first_replica, next(batches))
            break
    elif iterator is not None:
        data_batch = keras_internals.batch_signature(iterator)
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data_batch)
    # Batches that are refused are named by the step.
    if isinstance(x, Mapping) and all(hasattr(v, "shape") for v in keras.tree.flatten(x)):
        with model.distribute_strategy.scope():
            _build(model, x)


def _of_first_replica(value):
    return value.values[0] if isinstance(value, tf.distribute.DistributedValues) else value


def _build(model, x):
    """Creates the variables that Keras leaves to the first step, where they are needed already."""
    with tf.init_scope():
        if not model.built:
            model.build({m: tuple(v.shape) for m, v in x.items() if not isinstance(v, dict)})
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)


def _fit_estimators(model, inputs, variables):
    if not variables:
        return {}
    values = [v.value for v in variables]

    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            losses = model.estimator_loss(inputs)
            total = sum(losses.values()) / num_replicas()
        gradients = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        _apply(model.optimizer.estimator, gradients, variables)
        return losses

    # Sums over replicas cannot be in a loop of a graph.
    if tf.executing_eagerly() or num_replicas() > 1:
        for _ in range(model.estimator_steps):
            losses = step()
        return losses
    # One loop, and so one copy of the step in the graph, whatever the number of steps.
    traced = tf.function(step, autograph=False).get_concrete_function()
    start = {key: tf.zeros(x.shape, x.dtype) for key, x in traced.structured_outputs.items()}
    _, losses = tf.while_loop(
        lambda count, _: count < model.estimator_steps,
        lambda count, _: (count + 1, traced()),
        (0, start),
        parallel_iterations=1,
    )
    return losses


def _apply(optimizer, gradients, variables):
    """Applies the gradients summed over replicas: clipping and loss scaling see the sums.

    Keras would clip each replica's part and sum afterwards.
    """
    if num_replicas() > 1:
        gradients = tf.distribute.get_replica_context().all_reduce(SUM, gradients)
        keras_internals.disable_gradient_reduction(getattr(optimizer, "inner_optimizer", optimizer))
    optimizer.apply(gradients, variables)


@tf.autograph.experimental.do_not_convert
def test_step(model, data):
    x = model.prepare_batch(data)
    return _logs(model.track(evaluation_losses(model, x), batch_size(x)))


def _logs(logs):
    """Gives the logs of several workers a first axis, over which Keras averages them."""
    if getattr(tf.distribute.get_strategy(), "cluster_resolver", None) is None:
        return logs
    return {key: tf.reshape(value, (1,)) for key, value in logs.items()}


def gradients(objective, variables, inputs):
    inputs = {name: tf.convert_to_tensor(x) for name, x in inputs.items()}
    values = [*(v.value for v in variables), *inputs.values()]
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = objective(inputs)
    found = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found = [tf.convert_to_tensor(g) for g in found]
    return found[: len(variables)], dict(zip(inputs, found[len(variables) :], strict=True))


def map_chunks(function, values, carry, tensors, num_chunks):
    rows = tensors[0].shape[0] or tf.shape(tensors[0])[0]
    bounds = [rows * number // num_chunks for number in range(num_chunks + 1)]
    found = []
    for first, last in itertools.pairwise(bounds):
        chunk = [x[first:last] for x in tensors]
        carry, outputs = _recomputed(function, values, carry, chunk)
        found.append(outputs)
    return carry, [tf.concat(parts, axis=0) for parts in zip(*found, strict=True)]


def _recomputed(function, values, carry, chunk):
    """The results of a function whose gradient computes it again.

    `tf.recompute_grad` is for floats alone, so that integers are passed around it.
    """
    inputs = [tf.convert_to_tensor(x) for x in (*values, *chunk)]
    places = [place for place, x in enumerate(inputs) if x.dtype.is_floating]
    carried = []

    @tf.recompute_grad
    def run(*floats):
        full = list(inputs)
        for place, x in zip(places, floats, strict=True):
            full[place] = x
        after, outputs = function(full[: len(values)], carry, full[len(values) :])
        carried.append(after)
        return tuple(outputs)

    outputs = run(*(inputs[place] for place in places))
    return carried[0], outputs


def num_replicas(strategy=None):
    return (strategy or tf.distribute.get_strategy()).num_replicas_in_sync


def global_sum(x):
    return x if _alone() else tf.distribute.get_replica_context().all_reduce(SUM, x)


def global_batches(tensors):
    """Gathers rows by summing over replicas, each with its rows at their place among zeros.

    `all_gather` would compile a function of its own for every tensor.
    """
    if _alone():
        return tensors
    context = tf.distribute.get_replica_context()
    rows = tf.shape(tensors[0])[0]
    replica = context.replica_id_in_sync_group
    counts = context.all_reduce(SUM, rows * tf.one_hot(replica, num_replicas(), dtype=tf.int32))
    before = tf.reduce_sum(counts[:replica])
    after = tf.reduce_sum(counts) - before - rows
    placed = [
        tf.concat([_zeros_like(x, before), x, _zeros_like(x, after)], axis=0) for x in tensors
    ]
    gathered = dict(enumerate(placed))
    for dtype in dict.fromkeys(x.dtype for x in placed):
        places = [i for i, x in enumerate(placed) if x.dtype == dtype]
        # `MirroredStrategy` sums integers one tensor at a time.
        for group in [places] if dtype.is_floating else [[i] for i in places]:
            sums = context.all_reduce(SUM, [placed[i] for i in group])
            gathered.update(zip(group, sums, strict=True))
    return [gathered[i] for i in range(len(placed))]


def _zeros_like(x, rows):
    return tf.zeros(tf.concat([[rows], tf.shape(x)[1:]], axis=0), x.dtype)


def _alone():
    return num_replicas() == 1 or tf.distribute.in_cross_replica_context()


def segment_sum(x, indices, num_segments):
    return keras.ops.segment_sum(x, indices, num_segments=num_segments)


def matmul(x, y):
    if x.dtype != tf.float32 or not _rounds_products():
        return tf.matmul(x, y)
    # No operation takes a precision. Parts of 11 and 13 bits pass TF32 with an error of 2^-21.
    (x, x_rest), (y, y_rest) = _split(x), _split(y)
    rest = tf.matmul(x_rest, y_rest) + tf.matmul(x, y_rest) + tf.matmul(x_rest, y)
    return tf.matmul(x, y) + rest


@tf.function(autograph=False, reduce_retracing=True)
def best_columns(x, y, z):
    scores = matmul(x, y) + z
    places = tf.argmax(scores, axis=1, output_type="int32")
    # Cheaper than another pass for the maximum.
    return tf.gather(scores, places, batch_dims=1), places


def _rounds_products():
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    return tf32 and bool(tf.config.list_physical_devices("GPU"))


def _split(x):
    """The leading 11 bits of each float32, which TF32 holds exactly, and the rest."""
    kept = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), tf.constant(-0x2000, tf.int32))
    high = tf.bitcast(kept, tf.float32)
    return high, x - high


def wait_for_replicas():
    """Replicas are traced in threads, which switch where they meet."""
    if not _alone():
        tf.distribute.get_replica_context().merge_call(lambda strategy: None)


def own_losses(losses):
    """Those on the device of this replica: all replicas add to the same lists of a layer."""
    if _alone():
        return losses
    device = tf.zeros(()).device
    return [loss for loss in losses if loss.device == device]


def has_values(x):
    # A Keras variable has `numpy` also while a graph is made; what is read from it then has not.
    return not tf.is_tensor(x) or hasattr(tf.convert_to_tensor(x), "numpy")


def process_index(model):
    resolver = getattr(model.distribute_strategy, "cluster_resolver", None)
    return (resolver.task_id or 0) if resolver else 0


def reader_shard():
    """A strategy gives every replica its part, and Keras every worker its shard."""
    return 0, 1


def broadcast_array(array):
    """Returns the array: each worker reads all of the data."""
    return array


def distribution(devices):
    workers = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
    if sum(len(jobs) for jobs in workers.values()) > 1:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        count, resolver = strategy.num_replicas_in_sync, strategy.cluster_resolver
        if devices not in ("auto", count):
            raise ValueError(
                f"`devices` must be 'auto' or {count}, the devices of the workers in TF_CONFIG. "
                f"Received: {devices}"
            )
        processes = len(resolver.cluster_spec().as_dict().get("worker", ()))
        return strategy.scope(), count, resolver.task_id, processes
    found = [
        device.name
        for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    ]
    count = len(found) if devices == "auto" else devices
    if count > len(found):
        raise ValueError(
            "`devices` must be 'auto' or at most the number of devices. "
            f"Received: {devices} of {found}"
        )
    if count == 1:
        return contextlib.nullcontext(), 1
    return _new_strategy(found[:count]).scope(), count


def _new_strategy(devices):
    """Makes a strategy whose sums have numbers that no other strategy of this process uses.

    TensorFlow numbers the sums of every strategy from the same start, and then takes those of
    another model, or of other devices, for the same sum with a wrong shape.
    """

    class Strategy(tf.distribute.MirroredStrategy):
        # A private name, which TensorFlow has for its own tests.
        _collective_key_base = next(_STRATEGY_KEYS)

    return Strategy(devices)


def broadcast_variables(model):
    """Does nothing: a strategy gives every replica the first one's initial values."""


def initialization():
    return contextlib.nullcontext()


def step_compilation():
    return contextlib.nullcontext()


def apply_adam(optimizer, moments, epsilon_last, gradients, variables, learning_rate):
    """One operation per variable, but for several replicas and for rows of embeddings."""
    sparse = any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)
    if sparse or num_replicas() > 1 or tf.distribute.in_cross_replica_context():
        keras_internals.original_update(optimizer, gradients, variables, learning_rate)
        return
    places = [keras_internals.variable_index(optimizer, v) for v in variables]
    first, second = ([getattr(optimizer, name)[i].value for i in places] for name in moments)
    scalars = {}
    for variable, gradient, mean, square in zip(variables, gradients, first, second, strict=True):
        dtype = tf.as_dtype(variable.dtype)
        if dtype not in scalars:
            scalars[dtype] = _adam_scalars(optimizer, epsilon_last, learning_rate, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.value.handle,
            m=mean.handle,
            v=square.handle,
            grad=tf.cast(gradient, dtype),
            **scalars[dtype],
        )


def _adam_scalars(optimizer, epsilon_last, learning_rate, dtype):
    step = tf.cast(keras.ops.convert_to_tensor(optimizer.iterations) + 1, dtype)
    # Not `tf.cast`, which makes float32 of a number first.
    beta_1, beta_2, epsilon = (
        tf.constant(value, dtype)
        for value in (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    )
    power_1, power_2 = tf.pow(beta_1, step), tf.pow(beta_2, step)
    if epsilon_last:
        # The operation adds epsilon to the root before the correction of its bias.
        epsilon *= tf.sqrt(-tf.math.expm1(step * math.log(optimizer.beta_2)))
    return {
        "beta1_power": power_1,
        "beta2_power": power_2,
        "lr": tf.cast(keras.ops.convert_to_tensor(learning_rate), dtype),
        "beta1": beta_1,
        "beta2": beta_2,
        "epsilon": epsilon,
    }


def jit_compile(requested):
    if num_replicas() == 1:
        return requested
    if requested is True:
        raise ValueError(
            "`jit_compile` must be False or 'auto' under a `tf.distribute` strategy: XLA cannot "
            f"compile sums over its {num_replicas()} replicas. Received: True"
        )
    return False
