"""One switch for data-parallel training, whatever the engine calls it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Self

import keras

from keras_cmg.backend import engine


class Distribution:
    """Devices that share every batch: a context in which models are created, loaded and trained.

    Args:
        scope: the engine's own context, entered and left with this one.
        num_replicas: devices that see a part of each batch, over all processes.
        process: number of this process, from 0.
        num_processes: how many processes there are.

    Example:

    >>> with keras_cmg.distribution.distribute() as distribution:
    ...     model = keras_cmg.models.FCID(("audio", "video"))
    >>> distribution.num_replicas, distribution.is_chief
    (1, True)
    """

    def __init__(
        self,
        scope: AbstractContextManager,
        num_replicas: int,
        process: int = 0,
        num_processes: int = 1,
    ):
        self.scope = scope
        self.num_replicas = num_replicas
        self.process = process
        self.num_processes = num_processes

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is written once: checkpoints, tables, reports."""
        return self.process == 0

    def __enter__(self) -> Self:
        self.scope.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.scope.__exit__(*error)


def distribute(devices: int | str = "auto") -> Distribution:
    """Spreads each batch over devices, and over processes where several were started.

    Everything that is compared or counted over a batch (contrastive terms, CLUB, the codebook's
    averages, logs, the norm that gradients are clipped to) is that of the global batch: the
    numbers of a run do not depend on the number of devices. Batch sizes are global.

    - JAX: `keras.distribution.DataParallel`; several processes where the environment holds
      `KERAS_DISTRIBUTION_JOB_ADDRESSES`, or after `keras.distribution.initialize`.
    - TensorFlow: `MirroredStrategy`; `MultiWorkerMirroredStrategy` where `TF_CONFIG` names several
      workers.
    - PyTorch: a device for each process, as `torchrun` starts them.

    Args:
        devices: how many, over all processes; `"auto"` takes all there are.

    Returns:
        A context manager: create or load the model, `compile` and `fit` inside.

    Raises:
        ValueError: for a number below 1, more devices than there are, or another number of
            processes than were started.

    Example:

    >>> with keras_cmg.distribution.distribute(1):
    ...     model = keras_cmg.models.FCID(("audio", "video"))
    ...     model.compile()
    """
    if devices != "auto" and (not isinstance(devices, int) or devices < 1):
        raise ValueError(f"`devices` must be 'auto' or at least 1. Received: {devices!r}")
    return Distribution(*engine.current().distribution(devices))


def check_distribution() -> None:
    """Refuses a distribution that Keras would take and then ignore.

    Raises:
        ValueError: if one is set with `keras.distribution` on another engine than JAX.

    Example:

    >>> check_distribution()
    """
    if keras.distribution.distribution() is not None and keras.backend.backend() != "jax":
        raise ValueError(
            "`keras.distribution` spreads training over devices on JAX alone; the engine "
            f"{keras.backend.backend()!r} would ignore it. "
            "Use `keras_cmg.distribution.distribute()`."
        )
