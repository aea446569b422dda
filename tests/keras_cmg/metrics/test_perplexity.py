"""Perplexity of code use."""

from __future__ import annotations

import math

import numpy as np
import pytest

from keras_cmg import metrics
from tests.helpers.metric_checks import value


def test_perplexity_is_of_all_codes_seen() -> None:
    indices = np.random.default_rng(0).integers(0, 5, (40, 3))
    metric = metrics.Perplexity(8)
    for batch in np.split(indices, 4):
        metric.update_state(batch)
    share = np.bincount(indices.ravel(), minlength=8) / indices.size
    entropy = -sum(p * math.log(p) for p in share if p)
    assert value(metric) == pytest.approx(math.exp(entropy), rel=1e-5)
