"""Statistics of code indices, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from keras_cmg.ops.code_identities import activation_shares, code_histograms, code_overlap


@pytest.mark.every_engine
def test_histograms() -> None:
    indices = np.array([[0, 3, 3, 1], [2, 2, 2, 2], [1, 0, 0, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    expected = [[0.25, 0.25, 0, 0.5], [0, 0, 1, 0], [0.75, 0.25, 0, 0]]
    found = ops.convert_to_numpy(code_histograms(indices, 4))
    np.testing.assert_allclose(found, expected)
    expected[2] = [0, 0, 0, 0]
    np.testing.assert_allclose(ops.convert_to_numpy(code_histograms(indices, 4, mask)), expected)
    one = ops.convert_to_numpy(code_histograms(np.array([2, 0]), 3, np.array([True, False])))
    np.testing.assert_allclose(one, [[0, 0, 1], [0, 0, 0]])


def test_histograms_of_shared_codes_transfer_and_those_of_separate_codes_do_not() -> None:
    labels = np.arange(30) % 3
    rng = np.random.default_rng(0)
    audio = labels[:, None] + 3 * rng.integers(0, 2, (30, 10))
    text = labels[:, None] + 3 * rng.integers(0, 2, (30, 10))
    for shift, expected in ((0, 1.0), (6, 1 / 3)):
        known, asked = (
            ops.convert_to_numpy(code_histograms(codes, 12)) for codes in (audio, text + shift)
        )
        means = np.stack([known[labels == label].mean(0) for label in range(3)])
        predicted = (asked @ means.T).argmax(1)
        assert np.mean(predicted == labels) == pytest.approx(expected)


@pytest.mark.every_engine
def test_overlap_of_distributions() -> None:
    counts = np.array([[4, 0, 1], [0, 3, 1], [4, 1, 2], [0, 0, 0]])
    # Shares: (1/2, 0, 1/2), (0, 3/4, 1/4), (1/4, 1/4, 1/2).
    expected = [[1, 0.25, 0.75], [0.25, 1, 0.5], [0.75, 0.5, 1]]
    np.testing.assert_allclose(ops.convert_to_numpy(code_overlap(counts)), expected)
    nothing = ops.convert_to_numpy(code_overlap(np.array([[2, 0], [1, 0]])))
    np.testing.assert_allclose(nothing, [[1, 0], [0, 0]])


@pytest.mark.every_engine
def test_shares_of_segments() -> None:
    # Specific (96 of 97), shared (6 % each at least), partial (one modality below 5 %), unused.
    counts = np.array([[96, 1, 0], [6, 88, 6], [50, 48, 2], [0, 0, 0]])
    shares = ops.convert_to_numpy(activation_shares(counts))
    np.testing.assert_allclose(shares, np.array([0, 97, 100, 100]) / 297, rtol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(activation_shares(np.zeros((2, 3)))), 0)
