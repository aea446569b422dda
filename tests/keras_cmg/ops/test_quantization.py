import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import quantization
from tests.helpers import numpy_reference
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_nearest_code_is_nearest(shape):
    x, codebook = draw(*shape, 4), draw(11, 4, seed=1)
    found = ops.convert_to_numpy(quantization.nearest_codes(x, codebook))
    np.testing.assert_array_equal(found, numpy_reference.nearest_codes(x, codebook))


@pytest.mark.parametrize("max_elements, code_block", [(10, 11), (10, 3), (2**20, 3), (1, 1)])
def test_blocks_of_vectors_and_codes_change_nothing(max_elements, code_block):
    x, codebook = draw(23, 4), draw(11, 4, seed=1)
    found = quantization.nearest_codes(x, codebook, max_elements, code_block)
    expected = numpy_reference.nearest_codes(x, codebook)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), expected)


@pytest.mark.parametrize("code_block", [8, 2])
def test_lowest_index_wins_a_tie(code_block):
    codebook = np.array([[3.0], [1.0], [1.0], [3.0], [1.0], [9.0]], "float32")
    found = quantization.nearest_codes(np.array([[1.0], [3.5]], "float32"), codebook, 2, code_block)
    assert ops.convert_to_numpy(found).tolist() == [1, 0]


def test_one_code_takes_all():
    found = quantization.nearest_codes(draw(5, 3), draw(1, 3))
    assert ops.convert_to_numpy(found).tolist() == [0] * 5


def test_widths_must_agree():
    with pytest.raises(ValueError, match=r"same dim as the last axis.*\(6, 3\) and \(2, 4\)"):
        quantization.nearest_codes(draw(2, 4), draw(6, 3))


@pytest.mark.every_engine
def test_straight_through_has_the_codes_value_and_the_identity_as_gradient():
    x, codes, weight = draw(3, 4), draw(3, 4, seed=1), ops.convert_to_tensor(draw(3, 4, seed=2))
    value = quantization.straight_through(x, codes)
    np.testing.assert_allclose(ops.convert_to_numpy(value), codes, atol=1e-6)
    found = gradient(lambda v: ops.sum(quantization.straight_through(v, codes) * weight), x)
    np.testing.assert_array_equal(found, ops.convert_to_numpy(weight))


def test_commitment_weights_of_the_paper_and_of_the_authors_code():
    x = {"audio": np.zeros((2, 1), "float32"), "video": np.full((2, 1), 3.0, "float32")}
    codes = {"audio": np.ones((2, 1), "float32"), "video": np.full((2, 1), 5.0, "float32")}
    paper = quantization.commitment_loss(x, codes, 0.25, cross_modal=False)
    assert {name: float(v) for name, v in paper.items()} == {"audio": 0.25, "video": 1.0}
    reference = quantization.commitment_loss(x, codes, 0.25, cross_modal=True)
    # 2 b 1 + b/2 25 and 2 b 4 + b/2 4.
    assert float(reference["audio"]) == pytest.approx(0.5 + 3.125)
    assert float(reference["video"]) == pytest.approx(2.0 + 0.5)


def test_commitment_leaves_out_vectors_of_no_weight():
    x = {"audio": np.array([[0.0], [7.0]], "float32")}
    codes = {"audio": np.ones((2, 1), "float32")}
    loss = quantization.commitment_loss(
        x, codes, 1.0, cross_modal=False, weights={"audio": np.array([1.0, 0.0], "float32")}
    )
    assert float(loss["audio"]) == 1.0


@pytest.mark.parametrize("modalities", [1, 2, 3, 4])
def test_multimodal_ema_equals_the_loops(modalities):
    names = ["audio", "video", "text", "depth"][:modalities]
    features = {name: draw(6, 3, seed=i) for i, name in enumerate(names)}
    codebook = draw(4, 3, seed=9)
    counts, sums = np.ones(4, "float32"), codebook.copy()
    indices = {name: numpy_reference.nearest_codes(x, codebook) for name, x in features.items()}
    expected = numpy_reference.mm_ema(features, indices, counts, sums, 0.9, 1e-5)
    for name, mixture in quantization.mix_modalities(features).items():
        statistics = quantization.code_statistics(indices[name], mixture, 4)
        counts, sums = quantization.ema_update(counts, sums, *statistics, 0.9, 1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(counts), expected[0], rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(sums), expected[1], rtol=1e-4, atol=1e-6)


def test_unaligned_partners_take_part_with_their_time_average():
    audio, text = draw(2, 10, 3), draw(2, 4, 3, seed=1)
    mixed = quantization.mix_modalities({"audio": audio, "text": text})
    expected = 0.5 * audio + 0.5 * text.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(mixed["audio"]), expected, atol=1e-6)


def test_ema_equals_its_closed_form():
    decay, steps = 0.9, 7
    counts, sums = np.array([2.0, 1.0], "float32"), np.array([[4.0], [1.0]], "float32")
    new_counts, new_sums = np.array([3.0, 5.0], "float32"), np.array([[1.0], [2.0]], "float32")
    n, w = counts, sums
    for _ in range(steps):
        n, w = quantization.ema_update(n, w, new_counts, new_sums, decay, epsilon=0.0)
    kept = decay**steps
    expected = kept * counts + (1 - kept) * new_counts
    np.testing.assert_allclose(ops.convert_to_numpy(n), expected, rtol=1e-5)
    expected = kept * sums + (1 - kept) * new_sums
    np.testing.assert_allclose(ops.convert_to_numpy(w), expected, rtol=1e-5)


def test_smoothing_keeps_the_total():
    zeros = np.zeros((3, 1), "float32")
    counts, _ = quantization.ema_update(
        np.array([0.0, 0.0, 9.0], "float32"), zeros, np.zeros(3, "float32"), zeros, 0.9, 0.1
    )
    counts = ops.convert_to_numpy(counts)
    assert counts.sum() == pytest.approx(8.1, rel=1e-5)
    assert counts.min() > 0


def test_statistics_honour_weights():
    counts, sums = quantization.code_statistics(
        np.array([[0, 1], [1, 1]]),
        np.arange(4, dtype="float32").reshape(2, 2, 1),
        3,
        np.array([[1.0, 0.0], [1.0, 0.5]], "float32"),
    )
    assert ops.convert_to_numpy(counts).tolist() == [1.0, 1.5, 0.0]
    assert ops.convert_to_numpy(sums).tolist() == [[0.0], [3.5], [0.0]]


@pytest.mark.parametrize("usage, expected", [([1, 0, 0], 1.0), ([1 / 3] * 3, 3.0)])
def test_perplexity_counts_codes(usage, expected):
    assert float(quantization.perplexity(np.array(usage, "float32"))) == pytest.approx(expected)


def test_agreement_wants_all_modalities():
    indices = {
        "a": np.array([1, 2, 3, 4]),
        "v": np.array([1, 2, 0, 4]),
        "t": np.array([1, 0, 0, 4]),
    }
    assert float(quantization.code_agreement(indices)) == 0.5


def test_codes_are_found_in_half_precision_too():
    x = ops.cast(draw(5, 4), "bfloat16")
    codebook = draw(6, 4, seed=1)
    found = ops.convert_to_numpy(quantization.nearest_codes(x, codebook))
    exact = ops.convert_to_numpy(ops.cast(x, "float32"))
    np.testing.assert_array_equal(found, numpy_reference.nearest_codes(exact, codebook))
    assert keras.backend.standardize_dtype(quantization.nearest_codes(x, codebook).dtype) == "int32"


def test_shares_of_codes_sum_to_one_for_any_weights():
    weights = np.array([0.1, 0.3, 0.0], "float32")
    usage = quantization.code_usage(np.array([0, 1, 1]), 2, weights)
    np.testing.assert_allclose(ops.convert_to_numpy(usage), [0.25, 0.75], rtol=1e-6)
    assert not ops.convert_to_numpy(quantization.code_usage(np.zeros(3, int), 2, 0 * weights)).any()
