import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import (
    MapSpecificEncoder,
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


def test_small_maps_are_named():
    with pytest.raises(ValueError, match=r"height and width of at least 5.*\(2, 3, 4, 7, 6\)"):
        MapSpecificEncoder(3, 4)(draw(2, 3, 4, 7, 6))
