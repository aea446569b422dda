"""Codes of chunks: matching, overlap and spread against loops, with masks and limits."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import (
    chunk_code_log_probabilities,
    chunk_matching_loss,
    frame_overlap,
    normalize_chunks,
    uniformity_loss,
)
from tests.helpers import numpy_reference
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def test_chunks_have_unit_length():
    found = array(normalize_chunks(draw(2, 5, 6), 3)).reshape(2, 5, 2, 3)
    np.testing.assert_allclose(found, unit(draw(2, 5, 6).reshape(2, 5, 2, 3)), rtol=1e-5)


def test_partners_are_found_by_the_codes_of_each_chunk():
    x, y, codes = draw(4, 6), draw(4, 6, seed=1), unit(draw(5, 3, seed=2))
    losses = []
    for chunk in (slice(0, 3), slice(3, 6)):
        p, q = (np.exp(unit(v[:, chunk]) @ codes.T) for v in (x, y))
        p, q = (v / v.sum(axis=1, keepdims=True) for v in (p, q))
        losses.append(numpy_reference.cross_entropy(p @ np.log(q).T + np.log(p) @ q.T))
    log_p, log_q = (chunk_code_log_probabilities(v, codes) for v in (x, y))
    assert float(chunk_matching_loss(log_p, log_q)) == pytest.approx(np.mean(losses), rel=1e-4)
    present = np.array([1.0, 1.0, 0.0, 1.0], "float32"), np.ones(4, "float32")
    complete = float(chunk_matching_loss(log_p, log_q, present))
    log_p = array(log_p)
    log_p[:, 2] = np.log(0.2)
    assert float(chunk_matching_loss(log_p, log_q, present)) == pytest.approx(complete, rel=1e-5)


def test_overlap_is_the_norm_of_all_cosines():
    x, y = draw(3, 4, 5), draw(3, 4, 5, seed=1)
    expected = np.linalg.norm(unit(x) @ unit(y).swapaxes(1, 2), axis=(1, 2))
    np.testing.assert_allclose(array(frame_overlap(x, y)), expected, rtol=1e-4)
    weights = np.ones((3, 4), "float32")
    weights[:, 2:] = 0
    expected = np.linalg.norm(unit(x[:, :2]) @ unit(y[:, :2]).swapaxes(1, 2), axis=(1, 2))
    np.testing.assert_allclose(array(frame_overlap(x, y, weights)), expected, rtol=1e-4)
    zeros = ops.zeros((1, 2, 5))
    slope = gradient(lambda v: ops.sum(frame_overlap(v, zeros)), x[:1, :2])
    np.testing.assert_array_equal(slope, 0.0)


def test_uniformity_is_lowest_where_vectors_are_far_apart():
    x = draw(5, 3)
    squares = np.square(unit(x)[:, None] - unit(x)).sum(axis=-1)
    expected = np.log(np.exp(-squares[~np.eye(5, dtype=bool)]).mean())
    assert float(uniformity_loss(x)) == pytest.approx(expected, rel=1e-4)
    weights = np.array([1.0, 1, 0, 1, 1], "float32")
    kept = float(uniformity_loss(x[weights > 0]))
    assert float(uniformity_loss(x, weights)) == pytest.approx(kept, rel=1e-4)
    assert float(uniformity_loss(x[:1])) == 0.0
