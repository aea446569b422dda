"""Data-parallel training by one call on every engine."""

from __future__ import annotations

import keras

from keras_cmg.backend import engine
from keras_cmg.distribution.distribution import Distribution


def distribute(devices: int | str = "auto") -> Distribution:
    """Returns a context that spreads each batch over devices, and over processes if several run.

    Contrastive terms, CLUB, the codebook's averages, logs and the norm that gradients are clipped
    to are computed from the global batch: the results do not depend on the number of devices. Batch
    sizes are global.

    - JAX: `keras.distribution.DataParallel`; several processes if the environment variable
      `KERAS_DISTRIBUTION_JOB_ADDRESSES` is set, or after `keras.distribution.initialize`.
    - TensorFlow: `MirroredStrategy`; `MultiWorkerMirroredStrategy` if `TF_CONFIG` names several
      workers.
    - PyTorch: one device for each process that `torchrun` started.

    Args:
        devices: number of devices over all processes; `"auto"` takes all of them.

    Returns:
        A context manager. Create or load the model, `compile` and `fit` inside.

    Raises:
        ValueError: if `devices` is below 1, exceeds the available devices, or differs from the
            number of processes that were started.

    Example:

    >>> with keras_cmg.distribution.distribute(1):
    ...     model = keras_cmg.models.FCID(("audio", "video"))
    ...     model.compile()
    """
    if devices != "auto" and (not isinstance(devices, int) or devices < 1):
        raise ValueError(f"`devices` must be 'auto' or at least 1. Received: {devices!r}")
    return Distribution(*engine.current().distribution(devices))


def check_distribution() -> None:
    """Raises if a distribution is set that Keras would ignore.

    Raises:
        ValueError: if a distribution is set with `keras.distribution` on another engine than JAX.

    Example:

    >>> check_distribution()
    """
    if keras.distribution.distribution() is not None and keras.backend.backend() != "jax":
        raise ValueError(
            "`keras.distribution` spreads training over devices on JAX alone. Use "
            "`keras_cmg.distribution.distribute()`. "
            f"Received a distribution on the engine: {keras.backend.backend()!r}"
        )
