import numpy as np
from keras import ops

from keras_cmg.layers import (
    SequenceDecoder,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_sequence_decoder_equals_its_formula():
    layer, general, specific = SequenceDecoder(5), draw(2, 4, 6), draw(2, 4, 3, seed=1)
    found = array(layer(general, specific))
    inner, inner_bias, outer, outer_bias = (array(v) for v in layer.trainable_variables)
    joined = np.concatenate([general @ inner + inner_bias, specific], axis=-1)
    np.testing.assert_allclose(found, joined @ outer + outer_bias, rtol=1e-4, atol=1e-5)
