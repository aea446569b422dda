import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import saturating_softmax
from tests.helpers.layer_checks import gradient


def exact(scores, upstream):
    """Weights and gradient in double precision, by the textbook's formula."""
    scores, upstream = scores.astype("float64"), upstream.astype("float64")
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    mean = np.sum(weights * upstream, axis=-1, keepdims=True)
    return weights, weights * (upstream - mean)


def rows(gap, seed=0, count=200):
    """Scores of which one, anywhere in its row, lies `gap` above the next."""
    random = np.random.default_rng(seed)
    scores = random.uniform(-3, 0, (count, 6))
    scores[np.arange(count), random.integers(6, size=count)] = gap
    return scores.astype("float32"), random.standard_normal((count, 6)).astype("float32")


def errors(softmax, gap):
    """Largest error of the gradient in each row, relative to the row's largest entry."""
    scores, upstream = rows(gap)
    weight = ops.convert_to_tensor(upstream)
    found = gradient(lambda x: ops.sum(softmax(x) * weight), scores)
    _, expected = exact(scores, upstream)
    return np.abs(found - expected).max(axis=-1) / np.abs(expected).max(axis=-1)


@pytest.mark.every_engine
def test_gradient_keeps_its_digits_at_any_gap():
    for gap in (0.0, 5.0, 12.0, 16.0):
        assert errors(saturating_softmax, gap).max() < 1e-5
    assert errors(lambda x: ops.exp(ops.log_softmax(x)), 16.0).max() > 1e-2


def test_weights_are_those_of_a_softmax():
    scores = np.random.default_rng(1).normal(0, 4, (2, 3, 7)).astype("float32")
    weights = ops.convert_to_numpy(saturating_softmax(scores))
    np.testing.assert_allclose(weights, exact(scores, scores)[0], rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-6)


def test_equal_scores_weigh_the_same():
    weights = ops.convert_to_numpy(saturating_softmax(np.zeros((1, 4), "float32")))
    np.testing.assert_allclose(weights, 0.25, rtol=1e-6)


def test_a_weight_of_one_leaves_no_gradient():
    scores = np.array([[0.0, 500.0, -3.0]], "float32")
    weight = ops.convert_to_tensor(np.array([[1.0, 2.0, 3.0]], "float32"))
    found = gradient(lambda x: ops.sum(saturating_softmax(x) * weight), scores)
    np.testing.assert_array_equal(found, 0.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_so(dtype):
    weights = saturating_softmax(ops.convert_to_tensor([[1.0, 2.0, 9.0]], dtype=dtype))
    assert keras.backend.standardize_dtype(weights.dtype) == dtype
