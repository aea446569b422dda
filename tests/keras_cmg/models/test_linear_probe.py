import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.models import LinearProbe


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


@pytest.mark.parametrize("pooling, reduce", [("max", np.max), ("mean", np.mean)])
def test_logits_are_pooled_over_time(pooling, reduce):
    probe, x = LinearProbe(3, pooling), draw(2, 5, 4)
    found = array(probe(x))
    kernel, bias = probe.get_weights()
    np.testing.assert_allclose(found, reduce(x @ kernel + bias, axis=1), rtol=1e-4, atol=1e-5)


def test_segments_and_clip_codes_are_not_pooled():
    assert tuple(LinearProbe(3, "none")(draw(2, 5, 4)).shape) == (2, 5, 3)
    assert tuple(LinearProbe(3)(draw(2, 4)).shape) == (2, 3)


def test_learns_a_linear_rule_and_survives_a_file(tmp_path):
    x = draw(64, 5, 4)
    y = (x[..., 0].max(axis=1) > 1).astype("int32")
    probe = LinearProbe(2)
    probe.compile(
        keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    losses = probe.fit(x, y, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    probe.save(tmp_path / "probe.keras")
    loaded = keras.saving.load_model(tmp_path / "probe.keras")
    np.testing.assert_array_equal(array(probe(x)), array(loaded(x)))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`num_classes` must be at least 1. Received: 0"):
        LinearProbe(0)
    with pytest.raises(ValueError, match=r"`pooling` must be one of .*'median'"):
        LinearProbe(2, "median")
