import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import (
    CoarseProjector,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_projection_of_segments_averages_to_that_of_the_clip():
    layer, x = CoarseProjector(3), draw(2, 4, 6)
    np.testing.assert_allclose(
        array(layer(x, pool=False)).mean(axis=1), array(layer(x)), rtol=1e-4, atol=1e-6
    )


def test_masked_frames_do_not_count():
    layer, x = CoarseProjector(3), draw(2, 4, 6)
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
    found = layer(x, frame_mask=mask)
    np.testing.assert_allclose(array(found), array(layer(x[:, :2])), rtol=1e-4, atol=1e-6)
    nothing = array(layer(x, frame_mask=np.zeros((2, 4))))
    np.testing.assert_array_equal(nothing, np.zeros((2, 3)) + array(layer.dense.bias))


def test_symbolic_shapes_follow_the_pooling():
    frames = keras.Input((4, 6))
    assert CoarseProjector(3)(frames).shape == (None, 3)
    assert CoarseProjector(3)(frames, pool=False).shape == (None, 4, 3)


def test_features_without_frames_are_named():
    with pytest.raises(ValueError, match=r"must have shape \(batch, frames, dim\).*\(2, 6\)"):
        CoarseProjector(3)(draw(2, 6))
