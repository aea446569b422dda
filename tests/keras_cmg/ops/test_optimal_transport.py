"""Transport plans against slow NumPy, and where they might break."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import assignments, sinkhorn, transport_cost

RANDOM = np.random.default_rng(0)


def array(value):
    return np.array(ops.convert_to_numpy(value))


def slow_sinkhorn(scores, temperature, iterations):
    """Plain alternating division, on the plan itself."""
    plan = np.exp(np.float64(scores) / temperature)
    rows, columns = plan.shape
    for _ in range(iterations):
        plan /= plan.sum(axis=0, keepdims=True) * columns
        plan /= plan.sum(axis=1, keepdims=True) * rows
    return plan


def check_marginals(plan, rows=None):
    count, columns = plan.shape
    rows = np.full(count, 1 / count) if rows is None else rows
    assert np.isfinite(plan).all() and (plan >= 0).all()
    np.testing.assert_allclose(plan.sum(axis=1), rows, atol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / columns, atol=1e-6)


@pytest.mark.every_engine
def test_plan_equals_plain_division():
    scores = RANDOM.uniform(-1, 1, (6, 4)).astype("float32")
    plan = array(sinkhorn(scores, temperature=0.3, num_iterations=200))
    np.testing.assert_allclose(plan, slow_sinkhorn(scores, 0.3, 400), atol=1e-5)


@pytest.mark.every_engine
@pytest.mark.parametrize("shape", [(40, 8), (8, 40), (1, 5), (5, 1), (1, 1)])
@pytest.mark.parametrize("temperature", [1e-6, 1e-4, 0.05, 10.0])
def test_marginals_are_exact_at_any_temperature(shape, temperature):
    scores = RANDOM.uniform(-1, 1, shape).astype("float32")
    check_marginals(array(sinkhorn(scores, temperature, num_iterations=3)))


@pytest.mark.parametrize("value", [0.0, 1.0, -1e4, 1e4])
def test_equal_scores_spread_evenly(value):
    plan = array(sinkhorn(np.full((6, 3), value, "float32"), temperature=1e-4))
    np.testing.assert_allclose(plan, 1 / 18, atol=1e-6)


def test_tiny_temperature_finds_the_assignment():
    order = RANDOM.permutation(7)
    scores = 0.1 * RANDOM.uniform(size=(7, 7)).astype("float32")
    scores[np.arange(7), order] += 0.5
    plan = array(sinkhorn(scores, temperature=1e-4))
    np.testing.assert_array_equal(plan.argmax(axis=1), order)
    np.testing.assert_allclose(plan.max(axis=1), 1 / 7, rtol=1e-4)


def test_rows_without_weight_take_no_part():
    scores = RANDOM.uniform(-1, 1, (6, 4)).astype("float32")
    weights = np.array([1, 0, 1, 1, 0, 1], "float32")
    plan = array(sinkhorn(scores, 0.1, 50, weights))
    check_marginals(plan, weights / 4)
    alone = array(sinkhorn(scores[weights > 0], 0.1, 50))
    np.testing.assert_allclose(plan[weights > 0], alone, atol=1e-6)
    nothing = array(sinkhorn(scores, 1e-4, 3, np.zeros(6, "float32")))
    np.testing.assert_allclose(nothing, 0.0)


def test_weights_are_masses():
    scores = RANDOM.uniform(-1, 1, (3, 5)).astype("float32")
    check_marginals(array(sinkhorn(scores, 0.1, 5, np.array([3, 1, 4]))), np.array([3, 1, 4]) / 8)


def test_assignments_and_cost():
    scores = RANDOM.uniform(-1, 1, (5, 3)).astype("float32")
    plan = array(sinkhorn(scores))
    np.testing.assert_allclose(array(assignments(plan)), plan * 5, atol=1e-5)
    cost = sum(plan[i, j] * (1 - scores[i, j]) for i in range(5) for j in range(3))
    assert float(transport_cost(plan, scores)) == pytest.approx(cost, rel=1e-5)
    assert cost <= np.mean(1 - scores)


def test_bad_arguments_are_named():
    for temperature in (0.0, -1.0):
        with pytest.raises(ValueError, match="`temperature` must be positive"):
            sinkhorn(np.eye(2), temperature)
    with pytest.raises(ValueError, match="`num_iterations` must be at least 1"):
        sinkhorn(np.eye(2), 0.1, 0)
