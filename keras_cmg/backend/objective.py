"""The contract between a model with estimators and the train steps of the three engines.

`fit` runs the same step on every engine:

1. `x = model.prepare_batch(data)` and `features = model(x, training=True)`, once;
2. `estimator_steps` times: one step of the estimators' optimiser on `estimator_loss`, computed from
   the features without gradient;
3. `main_losses(x, features)` with the estimators frozen: one backward pass through the features of
   step 1 and one step of the main optimiser.

A model without estimators has `estimator_steps = 0` and skips step 2. When a batch is spread over
replicas, features are gathered after step 1, so that losses are those of the global batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.backend.replicas import gather_across_replicas, own
from keras_cmg.types import Tensor


class PhasedObjective:
    """The methods and attributes that the train steps of `keras_cmg.backend` use.

    Example:

    >>> PhasedObjective.estimator_steps
    0
    """

    estimator_steps: int = 0
    """Steps of the estimators per training step, the paper's K."""

    replica_entries: tuple[str, ...] = ("codebook",)
    """Entries of the batch and of the features that are not gathered from all replicas: the losses
    use the replica's own rows, or the entry does not hold one row per clip."""

    unbatched_entries: tuple[str, ...] = ("codebook",)
    """Entries of the features that do not hold one row per clip. `predict` leaves them out."""

    optimizer: Any
    trainable_variables: list
    losses: list
    trackers: dict[str, keras.metrics.Mean]

    def prepare_batch(self, data: Any) -> dict[str, Any]:
        """Converts what the data set yields to the batch that the model and its losses receive.

        Args:
            data: a batch, alone or in a tuple.

        Returns:
            Dict of tensors.

        Example:

        >>> PhasedObjective().prepare_batch(({"audio": np.zeros((2, 3))},))["audio"].shape[0]
        2
        """
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return keras.tree.map_structure(ops.convert_to_tensor, x)

    def estimator_loss(self, x: Mapping[str, Any], features: Any) -> dict[str, Tensor]:
        """Computes the losses of the estimators, whose sum the estimators minimise.

        Args:
            x: the batch, of all replicas; see `keras_cmg.backend.replicas`.
            features: output of the model on it, without gradient.

        Returns:
            Log key to scalar.

        Raises:
            NotImplementedError: if a model with estimators does not define it.

        Example:

        >>> keras_cmg.models.FCID(("audio", "video")).estimator_steps
        5
        """
        raise NotImplementedError(f"{type(self).__name__} must define `estimator_loss`.")

    def main_losses(self, x: Mapping[str, Any], features: Any, training: bool) -> dict[str, Tensor]:
        """Computes the model's loss, under `"loss"`, and the other values to log.

        Args:
            x: the batch, of all replicas; see `keras_cmg.backend.replicas`.
            features: output of the model on it, with gradient.
            training: whether this is a training step.

        Returns:
            Log key to scalar; the keys are the same in every step.

        Raises:
            NotImplementedError: if a model does not define it.

        Example:

        >>> "cpc" in keras_cmg.models.FCID(("audio", "video")).log_keys
        True
        """
        raise NotImplementedError(f"{type(self).__name__} must define `main_losses`.")

    def is_estimator(self, variable: Any) -> bool:
        """Returns whether a variable belongs to the estimators.

        Args:
            variable: a Keras variable of the model.

        Returns:
            True or False.

        Example:

        >>> PhasedObjective().is_estimator("any")
        False
        """
        return False


def split_variables(model: Any, variables: list) -> tuple[list[int], list[int]]:
    """Splits a list of trainable variables into those of the model and of its estimators.

    Args:
        model: a `PhasedObjective`.
        variables: its trainable variables.

    Returns:
        Two lists of positions in `variables`: the model's and the estimators'.

    Example:

    >>> split_variables(PhasedObjective(), ["a", "b"])
    ([0, 1], [])
    """
    estimators = [i for i, v in enumerate(variables) if model.is_estimator(v)]
    main = [i for i, v in enumerate(variables) if not model.is_estimator(v)]
    return main, estimators


def with_regularization(model: Any, loss: Tensor) -> Tensor:
    """Adds the losses of layers, such as weight regularisation.

    Args:
        model: a Keras model.
        loss: scalar.

    Returns:
        Scalar.

    Example:

    >>> layer = keras.layers.Dense(1, kernel_regularizer="l2")
    >>> layer.build((None, 1))
    >>> layer.kernel.assign([[1.0]]) is None
    False
    >>> round(float(ops.stop_gradient(with_regularization(layer, ops.zeros(())))), 3)
    0.01
    """
    for extra in model.losses:
        loss = loss + ops.cast(extra, loss.dtype)
    return loss


def evaluation_losses(model: Any, x: Mapping[str, Any]) -> dict[str, Tensor]:
    """Computes the losses of the estimators and of the model without changing any state.

    Args:
        model: a `PhasedObjective`.
        x: the batch.

    Returns:
        Log key to scalar, the keys of a training step.

    Example:

    >>> batch = {"audio": np.zeros((3, 10, 4), "float32")}
    >>> losses = evaluation_losses(keras_cmg.models.FCID(("audio",)), batch)
    >>> "loss" in losses, "club_audio_nll" in losses
    (True, True)
    """
    x, features = gather_across_replicas(model, x, model(x, training=False))
    fit = model.estimator_loss(x, features) if model.estimator_steps else {}
    return {**fit, **model.main_losses(x, features, training=False)}


def batch_size(x: Mapping[str, Any]) -> Any:
    """Returns the number of clips in the global batch.

    Args:
        x: the batch, or a replica's part of it.

    Returns:
        An int, or a scalar tensor if the size is known only at run time.

    Example:

    >>> batch_size({"audio": np.zeros((3, 10, 4))})
    3
    """
    size = ops.shape(next(iter(own(x).values())))[0]
    if engine.current().num_replicas() == 1:
        return size
    return engine.global_sum(ops.cast(size, "float32"))
