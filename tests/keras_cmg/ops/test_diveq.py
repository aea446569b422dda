"""DiVeQ: values, gradients to both sides, and vectors that equal their codes."""

import numpy as np
from keras import ops

from keras_cmg.ops import diveq
from keras_cmg.ops.counter_random import random_normal
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def test_without_noise_values_are_codes_and_with_noise_lie_as_far():
    x, codes, noise = draw(20, 4), draw(20, 4, seed=1), 0.1 * draw(20, 4, seed=2)
    np.testing.assert_allclose(ops.convert_to_numpy(diveq(x, codes)), codes, atol=1e-5)
    found = ops.convert_to_numpy(diveq(x, codes, noise))
    np.testing.assert_allclose(
        np.linalg.norm(found - x, axis=1), np.linalg.norm(codes - x, axis=1), rtol=1e-4
    )
    assert np.abs(found - codes).max() > 0.01


def test_gradients_are_those_of_the_length_along_a_fixed_direction():
    x, codes, weight = draw(20, 4), draw(20, 4, seed=1), draw(20, 4, seed=2)
    direction = (codes - x) / np.linalg.norm(codes - x, axis=1, keepdims=True)
    along = (weight * direction).sum(axis=1, keepdims=True) * direction
    fixed = [ops.convert_to_tensor(v) for v in (x, codes, weight)]
    of_codes = gradient(lambda v: ops.sum(diveq(fixed[0], v) * fixed[2]), codes)
    np.testing.assert_allclose(of_codes, along, rtol=1e-4, atol=1e-5)
    of_vectors = gradient(lambda v: ops.sum(diveq(v, fixed[1]) * fixed[2]), x)
    np.testing.assert_allclose(of_vectors, weight - along, rtol=1e-4, atol=1e-5)


def test_a_vector_on_its_code_has_a_finite_gradient():
    x = draw(3, 4)
    slope = gradient(lambda v: ops.sum(diveq(v, ops.convert_to_tensor(x))), x)
    np.testing.assert_allclose(slope, 1.0)


def test_normal_draws_have_mean_zero_and_variance_one():
    noise = ops.convert_to_numpy(random_normal(5, (200, 50)))
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert np.isfinite(noise).all() and np.abs(noise).max() > 3
