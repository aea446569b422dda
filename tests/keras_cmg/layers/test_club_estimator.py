import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import CLUBEstimator
from tests.helpers import numpy_reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3)])
def test_bound_equals_the_loop_over_pairs(shape):
    layer, x, y = CLUBEstimator(8), draw(*shape), draw(*shape, seed=1)
    q = layer(x, y)
    expected = numpy_reference.club_upper_bound(array(q["mean"]), array(q["log_variance"]), y)
    assert float(array(layer.club_upper_bound(x, y))) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_networks_have_three_hidden_layers_of_half_the_width():
    layer = CLUBEstimator(8)
    layer(draw(2, 3), draw(2, 5))
    assert [tuple(kernel.shape) for kernel in layer.kernels] == [
        (2, 3, 4),
        (2, 4, 4),
        (2, 4, 4),
        (2, 4, 5),
    ]


def test_networks_are_those_of_dense_layers():
    """Of the same initial weights, drawn with the same seeds."""
    keras.utils.set_random_seed(1)
    widths = [("relu", 4), ("relu", 4), ("relu", 4), (None, 5)]
    mean_net, log_variance_net = (
        keras.Sequential(
            [keras.layers.Dense(width, activation) for activation, width in widths[:-1]]
            + [keras.layers.Dense(5, last)]
        )
        for last in (None, "tanh")
    )
    keras.utils.set_random_seed(1)
    layer, x = CLUBEstimator(8), draw(6, 7, 3)
    q = layer(x, draw(6, 7, 5))
    np.testing.assert_allclose(array(q["mean"]), array(mean_net(x)), atol=1e-6)
    np.testing.assert_allclose(array(q["log_variance"]), array(log_variance_net(x)), atol=1e-6)


def test_log_variance_is_bounded_by_tanh():
    layer = CLUBEstimator(8)
    found = array(layer(1e4 * draw(9, 3), draw(9, 5))["log_variance"])
    assert np.abs(found).max() <= 1


def test_equal_targets_share_no_information():
    layer, y = CLUBEstimator(8), np.ones((6, 2), "float32")
    assert float(array(layer.club_upper_bound(draw(6, 3), y))) == pytest.approx(0, abs=1e-6)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`hidden_units` must be at least 2. Received: 1"):
        CLUBEstimator(1)
    with pytest.raises(ValueError, match=r"`negatives` must be one of .*'few'"):
        CLUBEstimator(8, negatives="few")
    with pytest.raises(ValueError, match="`permutation` must be a tensor"):
        CLUBEstimator(8, negatives="permutation").club_upper_bound(draw(2, 3), draw(2, 3))
