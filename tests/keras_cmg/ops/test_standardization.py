import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import standardize


def standardized(x):
    return ops.convert_to_numpy(standardize(x)).astype("float64")


def test_every_vector_has_mean_zero_and_variance_one():
    x = np.random.default_rng(0).normal(3, 20, (4, 5, 64)).astype("float32")
    found = standardized(x)
    np.testing.assert_allclose(found.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(found.var(-1), 1, rtol=1e-5)
    expected = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_distance_tells_the_angle():
    a, b = standardized(np.random.default_rng(1).normal(size=(2, 256)).astype("float32"))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert ((a - b) ** 2).sum() == pytest.approx(2 * 256 * (1 - cosine), rel=1e-4)


def test_a_constant_vector_becomes_zero():
    assert not standardized(np.full((2, 8), 7, "float32")).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_neither_overflows_nor_changes_the_type(dtype):
    x = ops.cast(np.array([[30000.0, -30000.0, 0.0, 0.0]], "float32"), dtype)
    found = standardize(x)
    assert dtype in str(found.dtype)
    expected = [[2**0.5, -(2**0.5), 0, 0]]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(found, "float32")), expected, rtol=1e-2
    )
