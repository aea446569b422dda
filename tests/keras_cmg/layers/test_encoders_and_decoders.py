import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import (
    CoarseProjector,
    MapDecoder,
    MapSpecificEncoder,
    ResidualUnit,
    SequenceDecoder,
    SequenceSpecificEncoder,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def convolved(x, kernel, padding):
    """A 2-D convolution, position by position."""
    x = np.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    size = kernel.shape[0]
    rows, columns = x.shape[1] - size + 1, x.shape[2] - size + 1
    out = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for i, j in np.ndindex(rows, columns):
        out[:, i, j] = np.einsum("bhwc,hwco->bo", x[:, i : i + size, j : j + size], kernel)
    return out


@pytest.mark.parametrize("pre_activation_skip", [False, True])
def test_residual_unit_equals_its_formula(pre_activation_skip):
    layer, x = ResidualUnit(3, pre_activation_skip), draw(2, 4, 4, 3)
    found = array(layer(x))
    wide, narrow = (array(v) for v in layer.trainable_variables)
    inner = np.maximum(convolved(np.maximum(x, 0), wide, 1), 0)
    skip = np.maximum(x, 0) if pre_activation_skip else x
    expected = np.maximum(skip + convolved(inner, narrow, 0), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_map_specific_encoder_equals_its_formula():
    layer, x = MapSpecificEncoder(3, 4), draw(2, 2, 6, 5, 2)
    found = array(layer(x))
    weights = {v.path.split("/", 1)[-1]: array(v) for v in layer.trainable_variables}
    y = x.reshape(4, 6, 5, 2)
    for name in ("conv_0", "conv_1", "conv_2"):
        (kernel,) = [v for path, v in weights.items() if f"{name}/kernel" in path]
        y = convolved(y, kernel, 0)
        if name != "conv_2":
            y = np.maximum(y, 0)
    (wide,) = [v for path, v in weights.items() if "wide/kernel" in path]
    (narrow,) = [v for path, v in weights.items() if "narrow/kernel" in path]
    inner = np.maximum(convolved(np.maximum(y, 0), wide, 1), 0)
    expected = np.maximum(y + convolved(inner, narrow, 0), 0)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-3, atol=1e-5)


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


def test_sequence_decoder_equals_its_formula():
    layer, general, specific = SequenceDecoder(5), draw(2, 4, 6), draw(2, 4, 3, seed=1)
    found = array(layer(general, specific))
    inner, inner_bias, outer, outer_bias = (array(v) for v in layer.trainable_variables)
    joined = np.concatenate([general @ inner + inner_bias, specific], axis=-1)
    np.testing.assert_allclose(found, joined @ outer + outer_bias, rtol=1e-4, atol=1e-5)


def test_sequence_specific_encoder_is_its_own_summary():
    layer, x = SequenceSpecificEncoder(3), draw(2, 4, 6)
    features = layer(x)
    assert layer.summarize(features) is features
    assert array(features).min() >= 0


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


def test_small_maps_are_named():
    with pytest.raises(ValueError, match=r"height and width of at least 5.*\(2, 3, 4, 7, 6\)"):
        MapSpecificEncoder(3, 4)(draw(2, 3, 4, 7, 6))
