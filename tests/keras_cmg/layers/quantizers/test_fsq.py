"""Finite scalar quantisation: grids, exact indices, bad arguments."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import FSQ, ProjectedQuantizer
from keras_cmg.ops import pack_digits, quantize_scalars, unpack_digits


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (3, 1000), (16,) * 7])
def test_levels_are_reached_and_indices_are_exact(levels):
    """Also beyond 2^24 codes, where sums in float32 would merge neighbours."""
    layer = FSQ(levels)
    random = np.random.default_rng(0)
    indices = random.integers(layer.num_embeddings, size=200, dtype="int32")
    indices[:2] = 0, layer.num_embeddings - 1
    codes = array(layer.decode(indices))
    digits = array(unpack_digits(indices, levels))
    np.testing.assert_array_equal(array(pack_digits(digits, levels)), indices)
    # What tanh maps to the middle of each cell.
    sizes = np.array(levels)
    half = (sizes - 1) * 1.001 / 2
    offset = np.where(sizes % 2 == 0, 0.5, 0.0)
    inside = np.clip((digits - sizes // 2 + offset) / half, -0.9999999, 0.9999999)
    x = np.arctanh(inside) - np.arctanh(offset / half)
    out = layer(x.astype("float32"))
    np.testing.assert_array_equal(array(out["indices"]), indices)
    np.testing.assert_allclose(array(out["codes"]), codes, atol=1e-6)


def test_symmetric_levels_divide_the_range_evenly():
    layer = FSQ((2, 3, 4), symmetric=True, scale=0.5)
    codes = 2 * array(layer.codebook)
    for channel, values in enumerate(([-1, 1], [-1, 0, 1], [-1, -1 / 3, 1 / 3, 1])):
        np.testing.assert_allclose(np.unique(codes[:, channel].round(6)), values, atol=1e-6)


def test_a_half_precision_model_keeps_64000_codes():
    """In bfloat16 itself, whole numbers are exact up to 256 only."""
    levels = (8, 8, 8, 5, 5, 5)
    x = np.random.default_rng(0).standard_normal((500, 6)).astype("float32")
    x = array(ops.cast(ops.cast(x, "bfloat16"), "float32"))
    mixed = FSQ(levels, dtype="mixed_bfloat16")
    found = array(mixed(ops.cast(x, "bfloat16"))["indices"])
    np.testing.assert_array_equal(found, array(FSQ(levels)(x)["indices"]))
    assert len(np.unique(found)) > 450


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"levels": ()}, "`levels` must be numbers from 2 to 1000"),
        ({"levels": (5, 1001)}, "`levels` must be numbers from 2 to 1000"),
        ({"levels": (2, 3)}, "`levels` of 2 must have `symmetric=True`"),
        ({"levels": (8,) * 11}, "`levels` must give fewer than 2\\^31 codes"),
        ({"bound": "relu"}, "`bound` must be one of"),
        ({"scale": (1.0, 2.0)}, "`scale` must be a number, or one per channel"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        FSQ(**arguments)
    with pytest.raises(ValueError, match="`embedding_dim` must be at least 1"):
        ProjectedQuantizer(FSQ(), embedding_dim=0)


@pytest.mark.every_engine
def test_indices_and_codes_are_those_of_every_engine():
    """Recorded on PyTorch, where vector-quantize-pytorch 1.32 gives the same."""
    x = np.linspace(-2, 2, 24, dtype="float32").reshape(6, 4)
    out = FSQ((8, 5, 5, 5), name="grid")(keras.ops.convert_to_tensor(x))
    assert array(out["indices"]).tolist() == [0, 241, 450, 748, 990, 999]
    np.testing.assert_allclose(array(out["codes"])[0], [-1.0, -1.0, -1.0, -1.0])


@pytest.mark.parametrize(
    ("levels", "bound", "message"),
    [
        ((3, 3), "cut", "`bound` must be one of"),
        ((3, 1), "tanh", r"for each of 2 channels\. Received: \(3, 1\)"),
        ((3, 3, 3), "tanh", r"for each of 2 channels\. Received: \(3, 3, 3\)"),
    ],
)
def test_scalars_without_levels_are_named(levels, bound, message):
    with pytest.raises(ValueError, match=message):
        quantize_scalars(np.ones((4, 2), "float32"), levels, bound=bound)
