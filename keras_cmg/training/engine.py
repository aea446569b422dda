"""What the rest of the library asks of the engine that Keras runs on.

Each of `jax_engine`, `tensorflow_engine` and `torch_engine` offers the same names:

- `PhasedTrainer`: the train and test steps of `keras_cmg.training.objective.PhasedObjective`;
- `global_sum(x)`: the sum of `x` over all replicas of a data-parallel run;
- `from_first_replica(x)`: the first replica's `x`, on every replica;
- `num_replicas()`: how many replicas share a step's loss by summing gradients.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import keras


def current() -> ModuleType:
    """The module of the engine in use.

    Returns:
        A module with the names listed above.

    Raises:
        ValueError: for an engine without a module here.

    Example:

    >>> current().__name__.endswith("_engine")
    True
    """
    name = keras.backend.backend()
    if name not in ("jax", "tensorflow", "torch"):
        raise ValueError(
            "keras_cmg trains on the engines 'jax', 'tensorflow' and 'torch' "
            f"(set KERAS_BACKEND). Received: {name!r}"
        )
    return importlib.import_module(f"keras_cmg.training.{name}_engine")


def global_sum(x: Any) -> Any:
    """The sum of `x` over all replicas; `x` itself on a single device.

    Args:
        x: tensor.

    Returns:
        Tensor of the same shape.

    Example:

    >>> float(global_sum(ops.ones(())))
    1.0
    """
    return current().global_sum(x)


def from_first_replica(x: Any) -> Any:
    """The first replica's `x`, on every replica; `x` itself on a single device.

    Args:
        x: tensor.

    Returns:
        Tensor of the same shape.

    Example:

    >>> float(from_first_replica(ops.ones(())))
    1.0
    """
    return current().from_first_replica(x)
