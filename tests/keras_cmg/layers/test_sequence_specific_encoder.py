import numpy as np
from keras import ops

from keras_cmg.layers import (
    SequenceSpecificEncoder,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_sequence_specific_encoder_is_its_own_summary():
    layer, x = SequenceSpecificEncoder(3), draw(2, 4, 6)
    features = layer(x)
    assert layer.summarize(features) is features
    assert array(features).min() >= 0
