"""Batch normalisation by the statistics of the global batch."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.backend import engine


@keras.saving.register_keras_serializable("keras_cmg")
class GlobalBatchNormalization(keras.layers.Layer):
    """Normalises channels by the mean and variance of the global batch.

    Unlike `keras.layers.BatchNormalization`, statistics are those of all replicas together, rows of
    weight zero have no part in them, and the moving variance is the unbiased one, as in PyTorch.
    Training uses the statistics of the batch and updates the moving ones; inference, and
    `trainable=False`, use the moving ones. A batch in which no row counts, or whose statistics are
    not finite, does not change them. Statistics are computed in the dtype of the variables.

    Masks: `weights` of zero, such as those of padded frames, leave rows out of the statistics; they
    are normalised all the same.

    Args:
        momentum: float, weight of the past in the moving statistics.
        epsilon: float, added to the variance.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(rows, ..., channels)`.
        weights: optional float tensor `(rows,)`.
        training: bool, whether the statistics of the batch are used.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        ValueError: if `momentum` is not in [0, 1).

    Example:

    >>> layer = keras_cmg.layers.GlobalBatchNormalization()
    >>> out = layer(np.array([[1.0], [3.0]], "float32"), training=True)
    >>> [round(float(value), 2) for value in ops.stop_gradient(out)[:, 0]]
    [-1.0, 1.0]

    References:
        Ioffe and Szegedy (2015), Batch Normalization: Accelerating Deep Network Training by
        Reducing Internal Covariate Shift, algorithm 1.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1). Received: {momentum}")
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = (input_shape[-1],)

        def statistic(name, initializer):
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, trainable=False, aggregation="mean"
            )

        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean = statistic("moving_mean", "zeros")
        self.moving_variance = statistic("moving_variance", "ones")
        self.built = True

    def call(self, inputs, weights=None, training=False):
        x = ops.cast(inputs, self.variable_dtype)
        mean, variance = self._moving()
        if training and self.trainable:
            mean, variance = self._of_batch(x, weights)
        gamma, beta = (ops.convert_to_tensor(v) for v in (self.gamma, self.beta))
        normalized = (x - mean) * (gamma * ops.rsqrt(variance + self.epsilon)) + beta
        return ops.cast(normalized, self.compute_dtype)

    def _moving(self):
        return (ops.convert_to_tensor(v) for v in (self.moving_mean, self.moving_variance))

    def _of_batch(self, x, weights):
        """Mean and variance of the batch; the moving ones follow."""
        axes = tuple(range(len(x.shape) - 1))
        if weights is None:
            weights = ops.ones(ops.shape(x)[:1], dtype=x.dtype)
        weights = ops.reshape(ops.cast(weights, x.dtype), (-1, *(1,) * len(axes)))
        each = ops.broadcast_to(weights, (*ops.shape(x)[:-1], 1))
        count = engine.global_sum(ops.sum(each))

        def average(values):
            total = engine.global_sum(ops.sum(values * weights, axis=axes))
            return total / ops.maximum(count, 1.0)

        mean = average(x)
        variance = average(ops.square(x - mean))
        self._follow(mean, variance * count / ops.maximum(count - 1, 1.0), count)
        old_mean, old_variance = self._moving()
        return ops.where(count > 0, mean, old_mean), ops.where(count > 0, variance, old_variance)

    def _follow(self, mean, variance, count):
        mean, variance = ops.stop_gradient(mean), ops.stop_gradient(variance)
        valid = ops.logical_and(count > 0, ops.all(ops.isfinite(mean) & ops.isfinite(variance)))
        for variable, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = ops.convert_to_tensor(variable)
            moved = self.momentum * old + (1 - self.momentum) * new
            variable.assign(ops.where(valid, moved, old))

    def compute_output_shape(self, input_shape, *_):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
