"""Training on NaN is refused: before it starts, and as soon as a loss says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops


class TerminateOnNonFinite(keras.callbacks.Callback):
    """Stops training with an error as soon as a logged term is not finite.

    Looks at the first batch of all, and at the end of each epoch: a look at every batch would
    make each wait for the device.

    Example:

    >>> keras_cmg.callbacks.TerminateOnNonFinite().on_epoch_end(0, {"loss": 1.0})
    """

    def on_train_begin(self, logs=None):
        self.looked = False

    def on_train_batch_end(self, batch, logs=None):
        if not getattr(self, "looked", True):
            self.looked = True
            self._check(logs, "in the first batch")

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs, f"in epoch {epoch + 1}")

    def _check(self, logs, when):
        bad = [key for key, value in (logs or {}).items() if not np.isfinite(float(value))]
        if bad:
            raise ValueError(
                f"Every logged term must be finite. Not finite {when}: {bad}. Features with NaN or "
                "infinity and too high a learning rate are the usual reasons."
            )


def check_arrays(x: Mapping[str, Any]) -> None:
    """Refuses a dict of arrays that is empty, of unequal lengths, or not finite.

    Args:
        x: name to array, nested dicts allowed.

    Raises:
        ValueError: naming the entry, the rule and what was received.

    Example:

    >>> check_arrays({"audio": np.zeros((2, 10, 128))})
    """
    lengths = {}
    for name, values in x.items():
        if isinstance(values, Mapping):
            continue
        values = ops.convert_to_numpy(values)
        lengths[name] = len(values) if values.ndim else None
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0]) if values.ndim else 0
            raise ValueError(
                f"Features of {name!r} must be finite. "
                f"Received NaN or infinity, first in row {row}."
            )
    if not lengths or 0 in lengths.values():
        raise ValueError(f"The data set must hold at least one clip. Received clips: {lengths}")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"All entries must hold the same clips. Received clips: {lengths}")
