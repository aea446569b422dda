"""Who uses which code, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.protocol import code_sharing, code_use


def test_kinds_lie_at_the_published_shares() -> None:
    counts = np.array([[95, 5], [96, 4], [94, 6], [0, 0], [100, 0]])
    kinds = ["shared", "specific", "shared", "unused", "specific"]
    assert code_use.kinds(counts).tolist() == kinds
    three = np.array([[90, 8, 2], [94, 3, 3], [96, 4, 0], [5, 90, 5]])
    assert code_use.kinds(three).tolist() == ["partial", "partial", "specific", "shared"]


def test_summary_counts_codes() -> None:
    indices = {"audio": np.array([0, 0, 1, 2]), "text": np.array([0, 3, 3, 3])}
    counts = code_use.activations(indices, 5)
    assert code_use.summary(counts, tuple(indices)) == {
        "audio": 3,
        "text": 2,
        "any": 4,
        "shared": 1,
        "partial": 0,
        "specific": 3,
    }


def test_a_rare_use_does_not_make_a_code_shared() -> None:
    """One definition: the number of the text is that of the colours."""
    counts = np.array([[99, 1], [50, 50]])
    found = code_use.summary(counts, ("audio", "text"))
    assert found["shared"] == (code_use.kinds(counts) == "shared").sum() == 1


def test_label_agreement_is_that_of_pairs_of_different_clips() -> None:
    rng = np.random.default_rng(0)
    indices = {name: rng.integers(-1, 4, 30) for name in ("audio", "video", "text")}
    classes = rng.integers(0, 3, 30)
    shares = []
    for one in indices:
        for other in set(indices) - {one}:
            for clip, code in enumerate(indices[one]):
                others = [
                    place
                    for place, theirs in enumerate(indices[other])
                    if place != clip and theirs == code != -1
                ]
                if others:
                    shares.append(np.mean(classes[others] == classes[clip]))
    assert code_use.label_agreement(indices, classes) == pytest.approx(np.mean(shares))
    apart = {"audio": np.array([0, 1]), "text": np.array([0, 2])}
    assert code_use.label_agreement(apart, np.zeros(2, int)) is None


def test_codes_of_one_modality_are_near_those_of_their_label() -> None:
    codebook = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    labels = np.zeros((4, 2, 2))
    # Codes 0 and 2 are of audio alone, 1 and 3 of text; 0 and 1 have one label, 2 and 3 have not.
    labels[0, 0, 0], labels[1, 1, 0], labels[2, 0, 1], labels[3, 1, 0] = 30, 20, 10, 20
    counts = labels.sum(axis=2)
    found = code_sharing.nearest_shared_label(codebook, counts, labels)
    assert found == pytest.approx((30 + 20) / 80)
    every = np.ones((2, 2))
    assert code_sharing.nearest_shared_label(codebook[:2], every, every[..., None]) is None


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
