"""Codes of signs: entropies against the sum over all codes, and what a cut-off would do to them."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import BSQ, LFQ
from keras_cmg.ops import sign_entropy, summed_sign_probabilities
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def all_codes(bits):
    return 2.0 * (np.arange(2**bits)[:, None] >> np.arange(bits)[::-1] & 1) - 1


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_entropies_are_those_over_all_codes(bits):
    x, weights = 0.02 * draw(30, bits), np.random.default_rng(1).random(30).astype("float32")
    layer = LFQ(bits)
    logits = 2 * 100 * x @ all_codes(bits).T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    mean = weights @ p / weights.sum()
    single = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)
    found = layer.entropies(x, weights)
    np.testing.assert_allclose(float(found[0]), weights @ single / weights.sum(), rtol=1e-4)
    np.testing.assert_allclose(float(found[1]), -(mean * np.log(mean)).sum(), rtol=1e-4)
    total = array(summed_sign_probabilities(400 * x, weights))
    np.testing.assert_allclose(total, weights @ p, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(array(sign_entropy(400 * x)), single, rtol=1e-3, atol=1e-4)


def test_the_entropy_over_bits_is_an_upper_bound():
    x = 0.02 * draw(30, 5)
    joint, bits = (float(LFQ(5, joint_entropy=j).entropies(x)[1]) for j in (True, False))
    assert joint < bits <= 5 * np.log(2) + 1e-6


def test_many_codes_are_still_pushed_apart():
    """Cut off at 1e-5, the entropy of 2^18 codes would have no slope at vectors of one place."""
    layer = LFQ(18, inverse_temperature=1.0)
    x = np.full((64, 18), 0.02, "float32") + 0.01 * draw(64, 18)
    assert float(summed_sign_probabilities(4 * x).max()) / 64 < 1e-5
    slope = gradient(lambda v: layer.entropies(v)[1], x)
    # Towards the decision boundary, where more codes are within reach.
    assert slope.mean() < 0 and np.abs(slope).max() > 1e-4


def test_signs_lie_on_the_sphere():
    x = draw(5, 9)
    layer = BSQ(9, scale=2.0)
    out = layer(x)
    np.testing.assert_allclose(np.linalg.norm(array(out["codes"]), axis=1), 2.0, rtol=1e-5)
    np.testing.assert_array_equal(np.sign(array(out["codes"])), np.sign(x))
    again = layer(100 * x)
    np.testing.assert_array_equal(array(again["codes"]), array(out["codes"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_bits": 0}, "`num_bits` must be from 1 to 30"),
        ({"num_bits": 31}, "`num_bits` must be from 1 to 30"),
        ({"scale": 0.0}, "`scale` must be positive"),
        ({"num_bits": 23, "joint_entropy": True}, "`joint_entropy` must be False"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LFQ(**arguments)
