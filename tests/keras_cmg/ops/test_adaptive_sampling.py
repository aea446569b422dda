"""Weights of pairs by their loss."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import adaptive_weights


def array(value):
    return np.array(ops.convert_to_numpy(value))


def test_weights_are_the_expectation_of_drawing():
    losses = np.array([0.5, 2.0, 1.0], "float32")
    rates = np.exp(losses / 0.5) / np.exp(losses / 0.5).sum()
    np.testing.assert_allclose(array(adaptive_weights(losses, 0.5)), 3 * rates, rtol=1e-5)


def test_pairs_that_do_not_count_have_no_share():
    losses, counts = np.array([[9.0, 1.0], [1.0, 1.0]], "float32"), np.array([[0, 1], [1, 1]])
    np.testing.assert_allclose(array(adaptive_weights(losses, 1.0, counts)), counts, rtol=1e-5)
    np.testing.assert_allclose(array(adaptive_weights(losses, 1.0, 0 * counts)), 0.0)


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
def test_limits_of_the_temperature(temperature):
    weights = array(adaptive_weights(np.array([1.0, 2.0, 3.0], "float32"), temperature))
    expected = [0, 0, 3] if temperature < 1 else [1, 1, 1]
    np.testing.assert_allclose(weights, expected, atol=1e-4)
    assert array(adaptive_weights(np.array([7.0], "float32"), temperature)) == [1.0]


def test_bad_temperature_is_named():
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        adaptive_weights(np.ones(2), 0.0)
