import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import (
    ResidualUnit,
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


def test_other_channels_are_named():
    with pytest.raises(ValueError, match=r"must have 4 channels. Received shape \(2, 4, 4, 3\)"):
        ResidualUnit(4)(draw(2, 4, 4, 3))
