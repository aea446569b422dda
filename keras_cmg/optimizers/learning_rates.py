"""Learning rates that change over training."""

from __future__ import annotations

from typing import Any

import keras

SCHEDULES = ("constant", "cosine")
WARM_UP = 0.1
"""Share of the steps in which the learning rate of "cosine" rises."""


def scheduled_learning_rate(peak: float, schedule: str, steps: int) -> Any:
    """Returns a constant learning rate or a schedule.

    Args:
        peak: float, the largest learning rate.
        schedule: `"constant"`; or `"cosine"`, a linear rise over a tenth of the steps, then a
            decay to zero along a cosine.
        steps: int, number of steps of the whole training.

    Returns:
        A float or a `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: if the schedule is unknown.

    Example:

    >>> rate = scheduled_learning_rate(1.0, "cosine", 100)
    >>> float(rate(0)), float(rate(10)), round(float(rate(100)), 6)
    (0.0, 1.0, 0.0)
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"`schedule` must be one of {SCHEDULES}. Received: {schedule!r}")
    if schedule == "constant":
        return peak
    rise = max(int(WARM_UP * steps), 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - rise, 1), warmup_target=peak, warmup_steps=rise
    )
