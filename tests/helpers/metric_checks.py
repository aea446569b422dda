"""Labels, scores, and the value of a metric, for the tests of metrics."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


def value(metric: keras.metrics.Metric) -> float:
    return float(ops.convert_to_numpy(metric.result()))


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=shape).astype("float32")


LABELS = (draws(6, 10, 4) > 0.6).astype("float32")
SCORES = draws(6, 10, 4, seed=1)
