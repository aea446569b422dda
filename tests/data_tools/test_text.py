"""Word vectors: the same everywhere, unit length, alike for words spelled alike."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.features import TextFeatures
from data_tools.features.text import word_vector


def test_vectors_do_not_change_between_machines() -> None:
    np.testing.assert_allclose(
        word_vector("three", 4), [-0.04759, -0.795482, 0.315944, 0.514901], atol=1e-6
    )


@pytest.mark.parametrize("dim", [1, 64, 768])
def test_vectors_have_unit_length(dim: int) -> None:
    for word in ("a", "three", "don't"):
        assert np.linalg.norm(word_vector(word, dim)) == pytest.approx(1, rel=1e-5)


def test_spelling_decides() -> None:
    ring, rings, dog = (word_vector(word, 768) for word in ("ring", "rings", "dog"))
    assert ring @ rings > 0.4
    assert abs(ring @ dog) < 0.2


def test_sentences_are_cut_and_padded() -> None:
    features = TextFeatures(dim=8, num_tokens=3)(["", "One, two!", "one two three four"])
    assert features.dtype == np.float32
    assert features.any(-1).tolist() == [[False] * 3, [True, True, False], [True] * 3]
    np.testing.assert_array_equal(features[1, :2], features[2, :2])


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"`dim` must be at least 1\. Received: 0"):
        TextFeatures(dim=0)
    with pytest.raises(ValueError, match=r"`num_tokens` must be at least 1\. Received: -1"):
        TextFeatures(num_tokens=-1)
