import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import MapAttention, MapPooling, TransformerBlock, TransformerEncoder


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def temporal(**kwargs):
    return TransformerEncoder(**{"units": 8, "num_heads": 2, "feedforward_units": 4, **kwargs})


def test_frames_without_mask_have_no_influence():
    layer, x = temporal(), draw(2, 5, 6)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]])
    padded = x.copy()
    padded[:, 3:] = 99
    for other in (padded, x[:, :3]):
        found = layer(other, frame_mask=mask[:, : other.shape[1]])
        np.testing.assert_allclose(
            array(found)[:, :3], array(layer(x, frame_mask=mask))[:, :3], atol=1e-5
        )


def test_permuting_frames_permutes_outputs():
    layer, x, order = temporal(), draw(2, 5, 6), np.array([4, 2, 0, 1, 3])
    np.testing.assert_allclose(array(layer(x))[:, order], array(layer(x[:, order])), atol=1e-5)


def test_dropout_acts_in_training_only_and_repeats_with_its_seed():
    x = draw(2, 5, 6)
    a, b, other = temporal(seed=1), temporal(seed=1), temporal(seed=2)
    plain = array(a(x))
    np.testing.assert_array_equal(plain, array(a(x)))
    for layer in (b, other):
        layer(x)
        layer.set_weights(a.get_weights())
    dropped = array(a(x, training=True))
    assert not np.allclose(dropped, plain)
    np.testing.assert_array_equal(dropped, array(b(x, training=True)))
    assert not np.allclose(dropped, array(other(x, training=True)))


def test_blocks_are_normalised_last():
    out = array(TransformerBlock(2, 4)(draw(2, 3, 8)))
    np.testing.assert_allclose(out.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(axis=-1), 1, atol=1e-2)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`num_heads` must divide `units`.*num_heads=3, units=8"):
        temporal(num_heads=3)
    with pytest.raises(
        ValueError, match=r"features must have shape \(batch, frames, dim\).*\(2, 6\)"
    ):
        temporal()(draw(2, 6))
    with pytest.raises(ValueError, match=r"feature maps must have shape .*\(2, 5, 6\)"):
        MapAttention(units=8, num_heads=2)(draw(2, 5, 6))
    with pytest.raises(ValueError, match=r"`pooling` must be one of .*'median'"):
        MapPooling("median")
