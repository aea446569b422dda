"""The contract between a model with estimators and the train steps of the three engines.

One step, as `fit` runs it on every engine:

1. `features = model(x, training=True)`, once;
2. `estimator_steps` times: one step of the estimators' optimiser down `estimator_loss`, on the
   features without gradient;
3. `main_losses(x, features)`, with the estimators held still: one backward pass through the
   features of step 1, one step of the main optimiser.

A model without estimators has `estimator_steps = 0`, and step 2 falls away. Where a batch is
spread over replicas, features are gathered after step 1: losses are those of the global batch.
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
    """What a model must offer to be trained by `keras_cmg.training`.

    Example:

    >>> PhasedObjective.estimator_steps
    0
    """

    estimator_steps: int = 0
    """Steps of the estimators per step of the model, K."""

    replica_entries: tuple[str, ...] = ("codebook",)
    """Entries of the batch and of the features that the losses need no other replica's rows of, or
    that are not one row per clip. All others reach the losses as those of the global batch."""

    optimizer: Any
    trainable_variables: list
    losses: list
    trackers: dict[str, keras.metrics.Mean]

    def estimator_loss(self, x: Mapping[str, Any], features: Any) -> dict[str, Tensor]:
        """Losses of the estimators, by log key; their sum is minimised over the estimators.

        Args:
            x: the batch, of all replicas; see `keras_cmg.backend.replicas`.
            features: output of the model on it, without gradient.

        Returns:
            Log key to scalar.

        Raises:
            NotImplementedError: if a model has estimators and does not define it.

        Example:

        >>> keras_cmg.models.FCID(("audio", "video")).estimator_steps
        5
        """
        raise NotImplementedError(f"{type(self).__name__} must define `estimator_loss`.")

    def main_losses(self, x: Mapping[str, Any], features: Any, training: bool) -> dict[str, Tensor]:
        """The model's loss under `"loss"`, and whatever else is to be logged.

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
        """Whether a variable belongs to the estimators.

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
    """Positions of the main and of the estimators' variables in a list of trainable variables.

    Args:
        model: a `PhasedObjective`.
        variables: its trainable variables.

    Returns:
        Two lists of positions.

    Example:

    >>> split_variables(PhasedObjective(), ["a", "b"])
    ([0, 1], [])
    """
    estimators = [i for i, v in enumerate(variables) if model.is_estimator(v)]
    main = [i for i, v in enumerate(variables) if not model.is_estimator(v)]
    return main, estimators


def with_regularization(model: Any, loss: Tensor) -> Tensor:
    """The loss plus what layers added themselves, such as weight regularisation.

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
    """Every loss of a batch, with no state moved: the estimators' and the model's.

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
    """Number of clips in the global batch.

    Args:
        x: the batch, or a replica's part of it.

    Returns:
        An int, or a scalar tensor where the size is known only at run time.

    Example:

    >>> batch_size({"audio": np.zeros((3, 10, 4))})
    3
    """
    size = ops.shape(next(iter(own(x).values())))[0]
    if engine.current().num_replicas() == 1:
        return size
    return engine.global_sum(ops.cast(size, "float32"))
