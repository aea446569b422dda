import numpy as np
from keras import ops

from keras_cmg.layers import (
    MapDecoder,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_map_decoder_spreads_each_input_position_over_3_by_3():
    """A transposed convolution adds `x[i, j] @ kernel[p, q]` at `(i + p, j + q)`."""
    layer = MapDecoder(2, hidden_channels=3)
    layer.build((None, None, 4), (None, None, 3, 3, 5))
    transposed, x = layer.stack[0], draw(2, 3, 3, 9)
    kernel = array(transposed.kernel)
    expected = np.zeros((2, 5, 5, 3))
    for i, j, p, q in np.ndindex(3, 3, 3, 3):
        expected[:, i + p, j + q] += x[:, i, j] @ kernel[p, q].T
    np.testing.assert_allclose(array(transposed(x)), expected, rtol=1e-4, atol=1e-5)


def test_map_decoder_gives_the_general_vector_to_every_position():
    layer = MapDecoder(2, hidden_channels=3)
    general, specific = draw(2, 4, 4), np.zeros((2, 4, 3, 3, 5), "float32")
    first = array(layer(general, specific))
    assert first.shape == (2, 4, 7, 7, 2)
    assert not np.allclose(first, array(layer(general + 1, specific)))
    np.testing.assert_allclose(first[:, :, 3, 3].shape, (2, 4, 2))
