"""Two optimisers that Keras sees as one."""

import keras
import numpy as np
import pytest

from keras_cmg.backend import keras_internals
from keras_cmg.optimizers import PhasedOptimizer


def optimizers(**main):
    x, y = keras.Variable([1.0], name="x"), keras.Variable([2.0], name="y")
    optimizer = PhasedOptimizer(
        keras.optimizers.SGD(0.5, **main), keras.optimizers.SGD(0.1), lambda v: v is y
    )
    optimizer.build([x, y])
    return optimizer, x, y


def test_learning_rate_and_iterations_are_those_of_the_main_optimiser():
    optimizer, x, _ = optimizers()
    optimizer.learning_rate = 0.25
    optimizer.main.apply([keras.ops.ones((1,))], [x])
    assert float(optimizer.main.learning_rate) == 0.25
    assert float(optimizer.estimator.learning_rate) == pytest.approx(0.1)
    assert int(optimizer.iterations) == 1


@pytest.mark.parametrize("scaled", [False, True])
def test_averages_of_the_main_optimiser_are_those_of_both(scaled):
    optimizer, x, _ = optimizers(use_ema=True)
    if scaled:
        main = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5, use_ema=True))
        optimizer = PhasedOptimizer(main, keras.optimizers.SGD(0.1), lambda v: v is not x)
        optimizer.build([x])
    assert optimizer.use_ema
    assert [v is x for v in keras_internals.optimized_variables(optimizer)] == [True]
    (average,) = keras_internals.moving_averages(optimizer)
    average.assign([7.0])
    optimizer.finalize_variable_values([x])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(x), [7.0])


def test_without_averages_there_are_none():
    optimizer, _, _ = optimizers()
    assert not optimizer.use_ema
    assert keras_internals.moving_averages(optimizer) == []
