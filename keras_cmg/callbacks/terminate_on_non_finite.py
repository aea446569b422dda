"""Stops training when a loss or a weight is not finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops


class TerminateOnNonFinite(keras.callbacks.Callback):
    """Raises if a logged value or a weight is not finite.

    Checks the logs of the first batch, and the logs and all weights at the end of each epoch. A
    check of every batch would make each batch wait for the device. `fit` puts this callback before
    all others, so that none of them saves at the end of an epoch what is not finite.

    Example:

    >>> keras_cmg.callbacks.TerminateOnNonFinite().on_train_batch_end(0, {"loss": 1.0})
    """

    def __init__(self):
        super().__init__()
        self.first_batch = True

    def on_train_begin(self, logs=None):
        self.first_batch = True

    def on_train_batch_end(self, batch, logs=None):
        if self.first_batch:
            self.first_batch = False
            self.check(logs, "in the first batch")

    def on_epoch_end(self, epoch, logs=None):
        self.check(logs, f"in epoch {epoch + 1}")
        # The last step of an epoch may have a finite loss and an update that is not.
        bad = non_finite_variables(self.model)
        if bad:
            raise ValueError(
                "Every weight must be finite. Received NaN or infinity "
                f"after epoch {epoch + 1} in: {bad}. Too high a learning rate is the usual reason."
            )

    @staticmethod
    def check(logs: Mapping[str, Any] | None, when: str) -> None:
        """Raises if a logged value is not finite.

        Args:
            logs: log key to scalar.
            when: the time, for the message.

        Raises:
            ValueError: naming the log keys.

        Example:

        >>> keras_cmg.callbacks.TerminateOnNonFinite.check({"loss": 1.0}, "in epoch 1")
        """
        bad = [key for key, value in (logs or {}).items() if not np.isfinite(float(value))]
        if bad:
            raise ValueError(
                f"Every logged value must be finite. Not finite {when}: {bad}. Features with NaN "
                "or infinity and too high a learning rate are the usual reasons."
            )


def non_finite_variables(model: keras.Model, most: int = 3) -> list[str]:
    """Returns the paths of weights that hold NaN or infinity.

    Args:
        model: a Keras model; its optimiser is not looked at.
        most: largest number of paths.

    Returns:
        List of paths, empty if all weights are finite.

    Example:

    >>> layer = keras.layers.Dense(1, name="dense")
    >>> layer.build((None, 1))
    >>> layer.kernel.assign([[float("nan")]]) is None, non_finite_variables(layer)
    (False, ['dense/kernel'])
    """
    floats = [v for v in model.variables if "float" in keras.backend.standardize_dtype(v.dtype)]
    if not floats:
        return []
    # One number comes from the device, whatever the number of weights.
    finite = ops.stack([ops.all(ops.isfinite(v)) for v in floats])
    if bool(ops.all(finite)):
        return []
    flags = ops.convert_to_numpy(finite)
    return [v.path for v, good in zip(floats, flags, strict=True) if not good][:most]
