"""Two optimisers that Keras sees as one."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import keras_internals
from keras_cmg.optimizers import PhasedOptimizer
from tests.helpers.small_fcid import small_batch, small_fcid


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


def test_gradient_accumulation_moves_the_weights_alone_less_often():
    """Estimators and the moving codebook follow every batch, as docs/scale.md says."""
    model = small_fcid(("audio", "text"))
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model.compile(optimizer, keras.optimizers.SGD(0.1))
    batch = small_batch(("audio", "text"))
    model.train_on_batch(batch)
    weight = model.backbone.general_encoders["audio"].trainable_variables[0]
    estimator = model.estimators["club_audio"].trainable_variables[0]
    watched = (weight, estimator, model.backbone.quantizer.codebook)
    changes = []
    for _ in range(2):
        before = [ops.convert_to_numpy(v).copy() for v in watched]
        model.train_on_batch(batch)
        after = [ops.convert_to_numpy(v) for v in watched]
        changes.append([not np.array_equal(a, b) for a, b in zip(before, after, strict=True)])
    assert changes == [[True, True, True], [False, True, True]]
    assert int(model.optimizer.iterations) == 1


def test_the_configuration_holds_both_optimisers():
    optimizer, _, _ = optimizers(momentum=0.9)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is PhasedOptimizer and again.get_config() == optimizer.get_config()
    assert again.main.momentum == 0.9
    assert float(again.estimator.learning_rate) == pytest.approx(0.1)
