"""TensorFlow: train and test steps, sums over the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_cmg.training.objective import (
    batch_size,
    evaluation_losses,
    split_variables,
    with_regularization,
)


def train_step(model, data):
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    _build(model, x)
    variables = model.trainable_variables
    main, estimators = ([variables[i] for i in part] for part in split_variables(model, variables))
    with tf.GradientTape() as tape:
        features = model(x, training=True)
        with tape.stop_recording():
            logs = _fit_estimators(model, x, features, estimators)
        losses = model.main_losses(x, features, training=True)
        total = with_regularization(model, losses["loss"])
        optimizer = getattr(model.optimizer, "main", model.optimizer)
        # Gradients are summed over replicas, so each replica's loss counts its share.
        scaled = optimizer.scale_loss(total) / num_replicas()
    gradients = tape.gradient(
        scaled, [v.value for v in main], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    optimizer.apply(gradients, main)
    return model.track({**logs, **losses, "loss": total}, batch_size(x))


def _build(model, x):
    """Keras leaves variables to the first step, where this train step already needs them."""
    with tf.init_scope():
        if not model.built:
            model.build({m: tuple(v.shape) for m, v in x.items() if not isinstance(v, dict)})
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)


def _fit_estimators(model, x, features, variables):
    if not variables:
        return {}
    still = tf.nest.map_structure(tf.stop_gradient, features)
    values = [v.value for v in variables]
    for _ in range(model.estimator_steps):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            losses = model.estimator_loss(x, still)
            total = sum(losses.values()) / num_replicas()
        gradients = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        model.optimizer.estimator.apply(gradients, variables)
    return losses


def test_step(model, data):
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    return model.track(evaluation_losses(model, x), batch_size(x))


def gradients(objective, variables, inputs):
    inputs = {name: tf.convert_to_tensor(x) for name, x in inputs.items()}
    values = [*(v.value for v in variables), *inputs.values()]
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = objective(inputs)
    found = tape.gradient(total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found = [tf.convert_to_tensor(g) for g in found]
    return found[: len(variables)], dict(zip(inputs, found[len(variables) :], strict=True))


def num_replicas():
    return tf.distribute.get_strategy().num_replicas_in_sync


def global_sum(x):
    if num_replicas() == 1 or tf.distribute.in_cross_replica_context():
        return x
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, x)


def from_first_replica(x):
    if num_replicas() == 1 or tf.distribute.in_cross_replica_context():
        return x
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return global_sum(tf.where(tf.equal(replica, 0), x, tf.zeros_like(x)))
