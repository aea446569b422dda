"""Who uses which code, against counts by hand."""

from __future__ import annotations

import numpy as np

from recipes.protocol import code_use


def test_colours_lie_at_the_published_shares() -> None:
    counts = np.array([[95, 5], [96, 4], [94, 6], [0, 0], [100, 0]])
    assert code_use.colours(counts).tolist() == ["green", "red", "green", "", "red"]
    three = np.array([[90, 8, 2], [94, 3, 3], [96, 4, 0], [5, 90, 5]])
    assert code_use.colours(three).tolist() == ["blue", "blue", "red", "green"]


def test_summary_counts_codes() -> None:
    indices = {"audio": np.array([0, 0, 1, 2]), "text": np.array([0, 3, 3, 3])}
    assert code_use.summary(indices, 5) == {
        "audio": 3,
        "text": 2,
        "shared": 1,
        "any": 4,
        "green": 1,
        "blue": 0,
        "red": 3,
    }


def test_similarity_is_that_of_each_pair() -> None:
    codes = np.random.default_rng(0).normal(size=(6, 4))
    found = code_use.cosine_similarity(codes)
    pairs = [
        codes[i] @ codes[j] / np.linalg.norm(codes[i]) / np.linalg.norm(codes[j])
        for i in range(6)
        for j in range(6)
        if i != j
    ]
    assert np.isclose(code_use.mean_off_diagonal(found), np.mean(pairs))


def test_a_zero_code_is_like_no_other() -> None:
    assert code_use.cosine_similarity(np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [
        [0.0, 0.0],
        [0.0, 1.0],
    ]


def test_matching_clips_share_the_code_and_differ() -> None:
    rng = np.random.default_rng(1)
    indices = {name: rng.integers(0, 6, 50) for name in ("audio", "video", "text")}
    classes = rng.integers(0, 4, 50)
    found = code_use.matching_clips(indices, classes, 8, limit=5)
    assert len(found) == 5 and len({code for code, _ in found}) == 5
    for code, clips in found:
        assert [indices[name][clip] for name, clip in clips.items()] == [code] * 3
        assert len(set(clips.values())) == 3


def test_codes_of_two_modalities_follow_those_of_three() -> None:
    indices = {
        "audio": np.array([5, 5, 5, 1, 9]),
        "video": np.array([1, 5, 5, 5, 5]),
        "text": np.array([0, 1, 3, 3, 3]),
    }
    found = code_use.matching_clips(indices, np.arange(5), 10, limit=5)
    assert found == [
        (1, {"audio": 3, "video": 0, "text": 1}),
        (5, {"audio": 0, "video": 1}),
    ]


def test_a_code_of_one_clip_alone_gives_no_match() -> None:
    indices = {"audio": np.array([0, 1]), "text": np.array([0, 2])}
    assert code_use.matching_clips(indices, np.zeros(2, int), 3, limit=5) == []


def test_no_code_of_two_modalities_gives_no_match() -> None:
    indices = {"audio": np.zeros(3, int), "text": np.ones(3, int)}
    assert code_use.matching_clips(indices, np.zeros(3, int), 2, limit=5) == []
