import numpy as np
from keras import ops

from keras_cmg.layers import MapPooling


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_sum_pooling_gates_channels_and_adds_positions():
    layer, x = MapPooling("sum", reduction=2), draw(2, 3, 5, 5, 4)
    found = array(layer(x))
    squeeze, excite = (array(v) for v in layer.trainable_variables)
    mean = x.mean(axis=(2, 3))
    gate = 1 + 1 / (1 + np.exp(-np.maximum(mean @ squeeze, 0) @ excite))
    np.testing.assert_allclose(found, x.sum(axis=(2, 3)) * gate, rtol=1e-4, atol=1e-4)


def test_attention_pooling_stays_within_the_maps_values():
    layer, x = MapPooling("attention"), np.abs(draw(2, 3, 5, 5, 4))
    found = array(layer(x))
    assert (found <= 2 * x.max(axis=(2, 3)) + 1e-5).all()
    assert (found >= x.min(axis=(2, 3)) - 1e-5).all()


def test_attention_pooling_is_blind_to_places_and_flatten_is_not():
    x = draw(1, 2, 5, 5, 4)
    turned = x[:, :, ::-1]
    attention, flatten = MapPooling("attention"), MapPooling("flatten")
    np.testing.assert_allclose(array(attention(x)), array(attention(turned)), atol=1e-5)
    assert not np.allclose(array(flatten(x)), array(flatten(turned)))
