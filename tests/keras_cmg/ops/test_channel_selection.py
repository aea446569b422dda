import numpy as np
import pytest

from keras_cmg.ops import channel_selection
from keras_cmg.ops.channel_selection import channel_scores, select_channels
from tests.helpers import numpy_reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("usage", [None, [1.0, 4.0, 0.0, 2.0, 2.0, 0.5, 3.0]])
def test_closed_form_equals_the_loop_over_pairs(normalize, usage):
    codebook = draw(7, 5)
    scores = channel_scores(codebook, usage, normalize=normalize)
    similarity, variance = numpy_reference.channel_scores(codebook, usage, normalize)
    np.testing.assert_allclose(scores.similarity, similarity, atol=1e-12)
    np.testing.assert_allclose(scores.variance, variance, atol=1e-12)
    np.testing.assert_allclose(scores.importance, 0.3 * variance - 0.7 * similarity, atol=1e-12)


def test_uniform_usage_gives_the_papers_formulas():
    codebook = draw(6, 4)
    plain, weighted = channel_scores(codebook), channel_scores(codebook, np.full(6, 17.0))
    np.testing.assert_allclose(plain.importance, weighted.importance, atol=1e-14)


def test_usage_weighs_like_repeated_codes():
    """The mean and variance see three copies of a code as one code used three times."""
    codebook, usage = draw(4, 5), np.array([3, 1, 2, 1])
    weighted = channel_scores(codebook, usage)
    repeated = channel_scores(np.repeat(codebook, usage, axis=0))
    np.testing.assert_allclose(weighted.variance, repeated.variance, atol=1e-12)
    # Copies of a code are pairs of the repeated codebook, and one code of the weighted one.
    unit = codebook / np.linalg.norm(codebook, axis=1, keepdims=True)
    copies = (usage * (usage - 1)) @ unit**2 / usage.sum() ** 2
    np.testing.assert_allclose(weighted.similarity + copies, repeated.similarity, atol=1e-12)


def test_unused_codes_have_no_influence():
    codebook = draw(5, 4)
    fewer = channel_scores(codebook[:3], np.array([1.0, 2.0, 3.0]))
    more = channel_scores(codebook, np.array([1.0, 2.0, 3.0, 0.0, 0.0]))
    np.testing.assert_allclose(fewer.importance, more.importance, atol=1e-12)


def test_authors_divisors():
    codebook = draw(6, 4)
    scores = channel_scores(codebook, normalize=False, unbiased=True)
    similarity, _ = numpy_reference.channel_scores(codebook, normalize=False)
    np.testing.assert_allclose(scores.similarity, similarity * 36 / 30, atol=1e-12)
    np.testing.assert_allclose(scores.variance, codebook.var(axis=0, ddof=1), atol=1e-12)


@pytest.mark.parametrize(
    "criterion, expected", [("similarity", "-0.7 S"), ("variance", "0.3 V"), ("both", "both")]
)
def test_criterion_switches_terms_off(criterion, expected):
    scores = channel_scores(draw(6, 4), criterion=criterion)
    terms = {"-0.7 S": -0.7 * scores.similarity, "0.3 V": 0.3 * scores.variance}
    terms["both"] = terms["-0.7 S"] + terms["0.3 V"]
    np.testing.assert_allclose(scores.importance, terms[expected], atol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_streaming_from_disk_equals_memory(tmp_path, monkeypatch, weighted):
    codebook = draw(1000, 8).astype("float32")
    usage = np.arange(1000.0) if weighted else None
    disk = np.memmap(tmp_path / "codes.dat", "float32", "w+", shape=codebook.shape)
    disk[:] = codebook
    disk.flush()
    expected = channel_scores(codebook, usage)
    monkeypatch.setattr(channel_selection, "ROWS_AT_ONCE", 37)
    np.testing.assert_allclose(
        channel_scores(disk, usage).importance, expected.importance, rtol=1e-9, atol=1e-15
    )


def test_large_codebooks_keep_their_precision():
    """Above the size at which sums within a block leave double precision."""
    codebook = draw(2**15, 160).astype("float32")
    streamed = channel_scores(codebook)
    exact = channel_scores(codebook.astype("float64")[: 2**15])
    np.testing.assert_allclose(streamed.variance, exact.variance, rtol=1e-5)
    assert set(select_channels(streamed.importance, 40)) == set(
        select_channels(exact.importance, 40)
    )


def test_best_channels_come_first_and_ties_go_to_the_lower():
    assert select_channels(np.array([0.5, 2.0, 0.5, 1.0]), 3).tolist() == [1, 3, 0]


def test_a_ratio_adds_the_lowest():
    assert select_channels(np.array([4.0, 3.0, 2.0, 1.0]), 3, ratio=(2, 1)).tolist() == [0, 1, 3]


def test_all_codes_zero_is_no_division_by_zero():
    assert np.isfinite(channel_scores(np.zeros((3, 2))).importance).all()


@pytest.mark.parametrize(
    "codebook, arguments, message",
    [
        (draw(4), {}, r"must have shape \(num_embeddings, dim\).*\(4,\)"),
        (np.zeros((0, 3)), {}, r"neither of them 0.*\(0, 3\)"),
        (np.array([[1.0, np.nan]]), {}, "must be finite"),
        (draw(3, 2), {"usage": [1.0, 2.0]}, "3 finite non-negative weights"),
        (draw(3, 2), {"usage": [1.0, -2.0, 1.0]}, r"non-negative weights.*-2\.0"),
        (draw(3, 2), {"usage": [0.0, 0.0, 0.0]}, "positive sum"),
        (draw(3, 2), {"variance_weight": 1.5}, r"\[0, 1\]. Received: 1.5"),
        (draw(3, 2), {"criterion": "entropy"}, "'entropy'"),
        (draw(3, 2), {"unbiased": True, "usage": [1.0, 1.0, 1.0]}, "`unbiased` must be False"),
        (draw(1, 2), {"unbiased": True}, "1 codes"),
    ],
)
def test_bad_arguments_are_named(codebook, arguments, message):
    with pytest.raises(ValueError, match=message):
        channel_scores(codebook, **arguments)


@pytest.mark.parametrize(
    "num_channels, ratio", [(0, (1, 0)), (5, (1, 0)), (2, (0, 1)), (2, (1, -1))]
)
def test_bad_choices_are_named(num_channels, ratio):
    with pytest.raises(ValueError, match=r"`num_channels` must lie|`ratio` must be"):
        select_channels(np.arange(4.0), num_channels, ratio)


def test_a_ratio_of_more_parts_than_channels_is_named():
    with pytest.raises(ValueError, match="at least the sum of `ratio`"):
        select_channels(np.arange(5.0), 1, (1, 1))
