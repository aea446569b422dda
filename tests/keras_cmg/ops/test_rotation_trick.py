import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import rotation_trick, straight_through
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def hand_gradient(x, codes, upstream):
    """s R^T g of each vector, with the matrix R written out."""
    result = np.zeros_like(x)
    for place in np.ndindex(x.shape[:-1]):
        length, code_length = np.linalg.norm(x[place]), np.linalg.norm(codes[place])
        u, v = x[place] / length, codes[place] / code_length
        w = (u + v) / np.linalg.norm(u + v)
        rotation = np.eye(len(u)) - 2 * np.outer(w, w) + 2 * np.outer(v, u)
        np.testing.assert_allclose(code_length / length * rotation @ x[place], codes[place], 1e-3)
        result[place] = code_length / length * rotation.T @ upstream[place]
    return result


@pytest.mark.every_engine
@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 6)])
def test_value_is_the_code_and_gradient_is_the_rotations(shape):
    x, codes, upstream = draw(*shape), draw(*shape, seed=1), draw(*shape, seed=2)
    value = ops.convert_to_numpy(rotation_trick(x, codes))
    np.testing.assert_allclose(value, codes, atol=1e-6)
    weight = ops.convert_to_tensor(upstream)
    found = gradient(lambda v: ops.sum(rotation_trick(v, codes) * weight), x)
    np.testing.assert_allclose(found, hand_gradient(x, codes, upstream), rtol=1e-4, atol=1e-5)


def test_gradient_keeps_its_angle_to_the_code():
    x, codes, upstream = draw(1, 3), draw(1, 3, seed=1), draw(1, 3, seed=2)
    weight = ops.convert_to_tensor(upstream)
    found = gradient(lambda v: ops.sum(rotation_trick(v, codes) * weight), x)[0]

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(found, x[0]) == pytest.approx(cosine(upstream[0], codes[0]), abs=1e-5)


def test_a_vector_on_its_code_passes_the_gradient_on():
    x, weight = draw(4, 3), ops.convert_to_tensor(draw(4, 3, seed=1))
    found = gradient(lambda v: ops.sum(rotation_trick(v, x) * weight), x)
    np.testing.assert_allclose(found, ops.convert_to_numpy(weight), atol=1e-5)


@pytest.mark.every_engine
@pytest.mark.parametrize(
    ("x", "code"), [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0]), ([1.0, 0.0], [-3.0, 0.0])]
)
def test_without_a_rotation_the_gradient_is_straight_through(x, code):
    x, code = np.array([x], "float32"), np.array([code], "float32")
    weight = ops.convert_to_tensor(draw(1, 2))
    np.testing.assert_array_equal(ops.convert_to_numpy(rotation_trick(x, code)), code)
    found = gradient(lambda v: ops.sum(rotation_trick(v, code) * weight), x)
    expected = gradient(lambda v: ops.sum(straight_through(v, code) * weight), x)
    np.testing.assert_array_equal(found, expected)


def test_codes_receive_no_gradient():
    x, codes = draw(2, 3), draw(2, 3, seed=1)
    found = gradient(lambda c: ops.sum(rotation_trick(x, c)) + ops.sum(c), codes)
    np.testing.assert_array_equal(found, np.ones_like(codes))
