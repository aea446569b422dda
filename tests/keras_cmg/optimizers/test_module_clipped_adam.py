import keras
import numpy as np
import pytest

from keras_cmg.optimizers.module_clipped_adam import ModuleClippedAdam
from tests.helpers.small_fcid import small_batch, small_fcid


def test_each_module_is_clipped_by_its_own_norm():
    a, b, free = (keras.Variable([0.0, 0.0], name=name) for name in ("a_x", "b_x", "c_x"))
    optimizer = ModuleClippedAdam(clip_norm=1.0, modules={"a": "a_x", "b": "b_x"})
    gradients = [keras.ops.convert_to_tensor(g) for g in ([3.0, 4.0], [0.3, 0.4], [30.0, 40.0])]
    clipped = optimizer.clipped(gradients, [a, b, free])
    np.testing.assert_allclose(keras.ops.stack(clipped), [[0.6, 0.8], [0.3, 0.4], [30, 40]], 1e-5)


def test_steps_equal_adam_with_epsilon_after_the_correction():
    gradients = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    variable = keras.Variable(np.zeros(3, "float32"))
    optimizer = ModuleClippedAdam(0.1, beta_1=0.9, beta_2=0.99, clip_norm=np.inf)
    expected, first, second = np.zeros(3), np.zeros(3), np.zeros(3)
    for step, gradient in enumerate(gradients.astype("float64"), 1):
        optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))], [variable])
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        mean, square = first / (1 - 0.9**step), second / (1 - 0.99**step)
        expected -= 0.1 * mean / (np.sqrt(square) + 1e-8)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), expected, rtol=1e-5)


def test_every_model_of_a_process_has_its_modules_found():
    """Keras numbers the layers of the second model."""
    for _ in range(2):
        model = small_fcid(("audio", "video"))
        model.build({name: x.shape for name, x in small_batch(("audio", "video")).items()})
        found = {ModuleClippedAdam().module_of(v) for v in model.trainable_variables}
        assert found == {"encoder", "cpc", "decoder", None}
        unclipped = [
            v.path for v in model.trainable_variables if ModuleClippedAdam().module_of(v) is None
        ]
        assert all("club_" in path for path in unclipped)


def test_clip_norm_must_be_positive():
    with pytest.raises(ValueError, match=r"`clip_norm` must be positive. Received: 0"):
        ModuleClippedAdam(clip_norm=0)


@pytest.mark.parametrize("argument", ["beta_1", "beta_2"])
def test_decays_must_lie_between_0_and_1(argument):
    for beta in (0.0, 1.0):
        with pytest.raises(ValueError, match=rf"`{argument}` must lie in \(0, 1\)"):
            ModuleClippedAdam(**{argument: beta})
