"""Among more clips than a search visits, the nearest ones are still found."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cmg.search import ClipIndex, CodeIndex, EncodedClips, clip_index

CODES, DIM, CLIPS = 16, 32, 400


def clips(codebook: np.ndarray, count: int, seed: int, modality: str) -> EncodedClips:
    """Clips around codes."""
    random = np.random.default_rng(seed)
    own = random.integers(len(codebook), size=count)
    noise = random.normal(size=(count, DIM)) * np.linalg.norm(codebook[own], axis=1)[:, None]
    vectors = (codebook[own] + 0.3 * noise / np.sqrt(DIM)).astype("float32")
    names = tuple(map(str, range(count)))
    return EncodedClips(names, vectors, own, vectors[:, None], modality)


def test_the_lists_of_the_own_code_are_visited_whatever_its_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Vectors of unit length are nearest to the shortest code, in whose list they seldom are."""
    monkeypatch.setattr(clip_index, "MAX_VISITED", CLIPS // 8)
    random = np.random.default_rng(0)
    codebook = random.normal(size=(CODES, DIM)) * random.uniform(0.2, 3, (CODES, 1))
    filed, queries = clips(codebook, CLIPS, 1, "video"), clips(codebook, 50, 2, "audio")
    index = ClipIndex(codebook)
    index.add(filed)
    found = [[hit.name for hit in hits] for hits in index.search(queries, "video", k=5)]
    units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (filed.vectors, queries.vectors)]
    exact = np.argsort(-units[1] @ units[0].T, axis=1)[:, :5].astype(str).tolist()
    shares = [len(set(a) & set(b)) / 5 for a, b in zip(found, exact, strict=True)]
    assert np.mean(shares) > 0.95


def test_no_list_is_visited_after_enough_clips() -> None:
    codebook = np.array([[0.0], [10.0], [20.0]])
    index = CodeIndex(codebook)
    index.add(np.arange(6), np.array([[0.0], [1.0], [10.0], [11.0], [20.0], [21.0]]))

    def ids(most: int | None) -> list[int]:
        found = index.search([[0.0]], num_clips=6, num_codes=3, max_visited=most)["ids"][0]
        return [number for number in found.tolist() if number >= 0]

    assert ids(1) == ids(2) == [0, 1]
    assert ids(3) == [0, 1, 2, 3]
    assert ids(None) == ids(5) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="`max_visited` must be at least 1"):
        ids(0)


def test_a_search_with_a_bound_of_an_empty_index_finds_nothing() -> None:
    index = CodeIndex(np.eye(2))
    assert index.search(np.eye(2), num_clips=1, max_visited=3)["ids"].tolist() == [[-1], [-1]]
