"""The contract between a model with estimators and the train steps of the three engines.

One step, as `fit` runs it on every engine:

1. `x = model.prepare_batch(data)`, then `inputs = model.prepare_step(x, training=True)`: one
   forward pass, and all that the losses are computed from. Where a batch is spread over replicas,
   it is gathered here: losses are those of the global batch;
2. `estimator_steps` times: one step of the estimators' optimiser down `estimator_loss`, on
   `inputs.stop_gradient()`;
3. `main_losses(inputs)`, with the estimators held fixed: one backward pass through the forward pass
   of step 1, one step of the main optimiser.

For a model without estimators step 2 is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.types import Tensor


class PhasedObjective:
    """What a model must define to be trained by `keras_cmg.backend`.

    Example:

    >>> PhasedObjective.estimator_steps
    0
    """

    estimator_steps: int = 0
    """Steps of the estimators per step of the model, K."""

    estimators: Mapping[str, Any]
    """Name to estimator; empty for a model without any."""

    replica_entries: tuple[str, ...] = ()
    """Entries of the batch and of the features of which the losses need the replica's own rows
    only. All others are gathered over the replicas."""

    unbatched_entries: tuple[str, ...] = ()
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

    def prepare_step(self, x: Mapping[str, Any], training: bool = False) -> Any:
        """Runs the forward pass and returns the arguments of the losses.

        Args:
            x: the batch, or the replica's part of it.
            training: whether this is a training step.

        Returns:
            A `keras_cmg.models.base.step_inputs.StepInputs`.

        Raises:
            NotImplementedError: if a model does not define it.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.prepare_step({"audio": np.zeros((2, 10, 128), "float32")}).training
        False
        """
        raise NotImplementedError(f"{type(self).__name__} must define `prepare_step`.")

    def estimator_loss(self, inputs: Any) -> dict[str, Tensor]:
        """Computes the losses of the estimators; their sum is minimised over the estimators.

        Args:
            inputs: as from `prepare_step`, without gradient.

        Returns:
            Log key to scalar.

        Raises:
            NotImplementedError: if a model has estimators and does not define it.

        Example:

        >>> keras_cmg.models.FCID(("audio", "video")).estimator_steps
        5
        """
        raise NotImplementedError(f"{type(self).__name__} must define `estimator_loss`.")

    def main_losses(self, inputs: Any) -> dict[str, Tensor]:
        """Computes the model's loss, under `"loss"`, and everything else that is logged.

        Args:
            inputs: as from `prepare_step`, with gradient.

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
    """Returns the positions of the main and of the estimators' variables in a list.

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


def evaluation_losses(model: Any, x: Mapping[str, Any]) -> dict[str, Tensor]:
    """Computes every loss of a batch, the estimators' and the model's, and changes no state.

    Args:
        model: a `PhasedObjective`.
        x: the batch, or the replica's part of it.

    Returns:
        Log key to scalar, the keys of a training step.

    Example:

    >>> batch = {"audio": np.zeros((3, 10, 4), "float32")}
    >>> losses = evaluation_losses(keras_cmg.models.FCID(("audio",)), batch)
    >>> "loss" in losses, "club_audio_nll" in losses
    (True, True)
    """
    inputs = model.prepare_step(x)
    fit = model.estimator_loss(inputs) if model.estimators else {}
    return {**fit, **model.main_losses(inputs)}


def batch_size(x: Mapping[str, Any]) -> Any:
    """Returns the number of clips in the global batch.

    Args:
        x: the batch, or the replica's part of it.

    Returns:
        An int, or a scalar tensor where the size is known only at run time.

    Example:

    >>> batch_size({"audio": np.zeros((3, 10, 4))})
    3
    """
    size = ops.shape(next(iter(x.values())))[0]
    if engine.current().num_replicas() == 1:
        return size
    return engine.global_sum(ops.cast(size, "float32"))
