"""The Fréchet distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from keras_cmg import metrics
from keras_cmg.ops.frechet import frechet_distance
from tests.helpers.metric_checks import draws, value


def reference(real: np.ndarray, generated: np.ndarray) -> float:
    """With the matrix root of SciPy, in double precision."""
    means = [x.mean(axis=0) for x in (real, generated)]
    covariances = [np.cov(x, rowvar=False) for x in (real, generated)]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    traces = np.trace(covariances[0] + covariances[1] - 2 * root.real)
    return float(np.square(means[0] - means[1]).sum() + traces)


def test_frechet_of_a_covariance_that_an_eigensolver_gives_up_on() -> None:
    """Of rank one and in single precision, as images give that are all but alike."""
    features = [1, 8, 10, 13, 21, 25, 32, 34, 38, 44, 45, 48, 52, 53, 55, 56, 57]
    direction = np.zeros(64, "float32")
    direction[features] = [
        4.78, -1.19, -4.78, 0.45, -2.39, 2.39, 1.19, 0.15, -1.19, -4.78, -4.78, 0.45, -0.6, -0.6,
        -2.39, 2.39, -0.6,
    ]  # fmt: skip
    zeros, wide = np.zeros(64, "float32"), np.eye(64, dtype="float32")
    one = np.outer(direction, direction)
    expected = float(np.square(direction).sum()) + 64 - 2 * float(np.linalg.norm(direction))
    distance = frechet_distance(zeros, one, zeros, wide)
    assert float(distance) == pytest.approx(expected, rel=1e-4)
    assert float(frechet_distance(zeros, one, zeros, one)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("samples", [500, 20])
def test_frechet_agrees_with_the_matrix_root(samples: int) -> None:
    random = np.random.default_rng(0)
    mix = random.normal(size=(16, 16))
    real = random.normal(size=(samples, 16)) @ mix + 100
    generated = random.normal(size=(samples + 30, 16)) + 101
    metric = metrics.FrechetDistance(16, dtype="float64")
    for start in range(0, samples + 30, 64):
        batch = real[start : start + 64]
        metric.update_state(batch if len(batch) else None, generated[start : start + 64])
    assert value(metric) == pytest.approx(reference(real, generated), rel=1e-6)
    single = metrics.FrechetDistance(16)
    single.update_state(real, generated)
    assert value(single) == pytest.approx(reference(real, generated), rel=2e-3)


def test_same_samples_have_no_distance_in_any_order() -> None:
    x = draws(200, 8)
    metric = metrics.FrechetDistance(8)
    metric.update_state(x, x[::-1])
    assert value(metric) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("size", [0.0, 1e-6, 1e6])
def test_samples_that_hardly_differ_have_a_distance_too(size: float) -> None:
    draws_of_rank_one = np.outer(np.arange(40), np.arange(64)).astype("float32") * size / 2520
    metric = metrics.FrechetDistance(64)
    metric.update_state(draws_of_rank_one, draws_of_rank_one + size)
    assert value(metric) == pytest.approx(64 * size**2, rel=2e-2)
