"""SimVQ: the scale that the first training step sets, and what it is for."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg.layers import SimVQ

RANDOM = np.random.default_rng(0)


def array(x):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(x)))


@pytest.mark.every_engine
@pytest.mark.parametrize("length", [0.3, 16.0])
def test_the_first_training_step_sets_the_scale(length):
    layer = SimVQ(num_embeddings=32, embedding_dim=8)
    x = RANDOM.normal(size=(6, 5, 8)).astype("float32")
    x *= length / np.linalg.norm(x, axis=-1, keepdims=True)
    weights = np.ones((6, 5), "float32")
    weights[0, 0], x[0, 0] = 0, 1e3
    before = array(layer.codebook)
    unscaled = before * np.sqrt(8)
    layer(x)
    np.testing.assert_array_equal(array(layer.codebook), before)
    layer(x, weights=weights, training=True)
    np.testing.assert_allclose(array(layer.codebook), unscaled * length / 4, rtol=1e-5, atol=1e-6)
    layer(2 * x, weights=weights, training=True)
    np.testing.assert_allclose(array(layer.codebook), unscaled * length / 4, rtol=1e-5, atol=1e-6)
    again = SimVQ.from_config(layer.get_config())
    again.build()
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(again.codebook), array(layer.codebook))


def test_vectors_that_have_no_length_leave_the_scale_to_a_later_step():
    layer = SimVQ(num_embeddings=4, embedding_dim=2)
    for x, scale in ((0.0, 0.0), (np.nan, 0.0), (np.sqrt(8.0), 1.0)):
        layer(np.full((3, 2), x, "float32"), training=True)
        assert float(array(layer.scale)) == pytest.approx(scale)


def test_a_scale_that_is_given_stays():
    layer = SimVQ(num_embeddings=4, embedding_dim=2, initial_scale=0.5)
    layer(np.ones((3, 2), "float32"), training=True)
    assert float(array(layer.scale)) == 0.5
    assert SimVQ.from_config(layer.get_config()).initial_scale == 0.5
    with pytest.raises(ValueError, match="`initial_scale` must be positive"):
        SimVQ(4, 2, initial_scale=0.0)


def test_an_image_model_uses_many_codes():
    """Of codes that start at unit length, longer than the features, it uses 1 to 3."""
    keras.utils.set_random_seed(0)
    rows, columns, radius = np.random.default_rng(0).uniform((4, 4, 2), (12, 12, 4), (64, 3)).T
    y, x = np.mgrid[:16, :16]
    distances = (y - rows[:, None, None]) ** 2 + (x - columns[:, None, None]) ** 2
    images = (distances < radius[:, None, None] ** 2).astype("float32")[..., None]
    model = keras_cmg.models.VQVAE.from_preset(
        "small",
        backbone={"hidden_channels": 16, "embedding_dim": 32, "quantizer": SimVQ(64, 32)},
    )
    model.compile(keras.optimizers.Adam(2e-3))
    model.fit({"image": images}, batch_size=32, epochs=20, verbose=0)
    assert len(np.unique(array(model.backbone.encode("image", images)["indices"]))) >= 10
