"""What the rest of the library asks of the engine that Keras runs on.

Each of `jax_engine`, `tensorflow_engine` and `torch_engine` offers the same names:

- `PhasedTrainer`: the train and test steps of `keras_cmg.training.objective.PhasedObjective`;
- `gradients(objective, variables, inputs)`: see below;
- `global_sum(x)`: the sum of `x` over all replicas of a data-parallel run;
- `from_first_replica(x)`: the first replica's `x`, on every replica;
- `num_replicas()`: how many replicas share a step's loss by summing gradients.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
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


def gradients(
    objective: Callable[[dict[str, Any]], Any], variables: list, inputs: Mapping[str, Any]
) -> tuple[list, dict[str, Any]]:
    """Gradients of a scalar with respect to variables and inputs, for checks and analyses.

    Args:
        objective: function of the inputs to a scalar. State that it changes is undefined after.
        variables: Keras variables.
        inputs: name to float tensor.

    Returns:
        One gradient per variable, and name to gradient; zeros where the scalar does not depend
        on one.

    Example:

    >>> _, slopes = gradients(lambda x: x["a"] ** 2, [], {"a": ops.convert_to_tensor(3.0)})
    >>> float(slopes["a"])
    6.0
    """
    return current().gradients(objective, variables, inputs)
