import math

import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops import contrastive
from tests.helpers import numpy_reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("candidates", ["targets", "predictions"])
@pytest.mark.parametrize("batch", [1, 4, 7])
def test_cpc_on_constant_features_is_the_log_of_the_batch(batch, candidates):
    logits = contrastive.prediction_logits(np.ones((2, batch, 3)), np.ones((2, batch, 3)))
    assert float(contrastive.cpc_loss(logits, candidates)) == pytest.approx(math.log(batch))


def test_cpc_softmax_runs_over_the_candidates():
    logits = draw(2, 4, 4)
    rows = np.mean([numpy_reference.cross_entropy(step) for step in logits])
    columns = np.mean([numpy_reference.cross_entropy(step.T) for step in logits])
    assert float(contrastive.cpc_loss(logits, "predictions")) == pytest.approx(rows, rel=1e-5)
    assert float(contrastive.cpc_loss(logits, "targets")) == pytest.approx(columns, rel=1e-5)


def test_logits_are_dot_products_of_target_rows_and_prediction_columns():
    targets, predictions = draw(2, 3, 5), draw(2, 3, 5, seed=1)
    logits = ops.convert_to_numpy(contrastive.prediction_logits(targets, predictions))
    assert logits[1, 0, 2] == pytest.approx(float(targets[1, 0] @ predictions[1, 2]), rel=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_info_nce_equals_the_loop(symmetric):
    a, b = draw(5, 3), draw(5, 3, seed=1)
    cosine = [[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in b] for x in a]
    logits = np.array(cosine) / 0.1
    expected = numpy_reference.cross_entropy(logits)
    if symmetric:
        expected = (expected + numpy_reference.cross_entropy(logits.T)) / 2
    found = contrastive.info_nce(a, b, temperature=0.1, symmetric=symmetric)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_accuracy_counts_diagonal_hits():
    logits = np.array([[2.0, 1.0], [3.0, 0.0]], "float32")
    assert float(contrastive.diagonal_accuracy(logits)) == 0.5
    assert float(contrastive.diagonal_accuracy(logits, axis=0)) == 0.0


def test_equal_logits_count_as_a_share_wherever_they_stand():
    """Two clips with the same caption: neither order of them, nor rounding, finds one alone."""
    logits = np.array([[1.0, 1.0, 0.0], [1.0, 1.0 + 1e-7, 0.0], [0.0, 0.0, 9.0]], "float32")
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        found = contrastive.diagonal_accuracy(logits[order][:, order])
        assert float(found) == pytest.approx(2 / 3)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`temperature` must be positive. Received: 0"):
        contrastive.info_nce(draw(2, 2), draw(2, 2), temperature=0)
    with pytest.raises(ValueError, match=r"`candidates` .* 'both'"):
        contrastive.cpc_loss(draw(1, 2, 2), "both")


def info_nce_of_segments(a, b, temperature, symmetric, present=None):
    present = None if present is None else tuple(counts.T for counts in present)
    x, y = a.transpose(1, 0, 2), b.transpose(1, 0, 2)
    return contrastive.info_nce(x, y, temperature, symmetric, present)


@pytest.mark.parametrize("symmetric", [False, True])
def test_info_nce_of_segments_is_the_mean_over_segments(symmetric):
    a, b = draw(5, 4, 3), draw(5, 4, 3, seed=1)
    each = [float(contrastive.info_nce(a[:, t], b[:, t], 0.2, symmetric)) for t in range(4)]
    found = float(info_nce_of_segments(a, b, 0.2, symmetric))
    assert found == pytest.approx(np.mean(each), rel=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
def test_segments_that_are_padding_are_neither_anchors_nor_candidates(symmetric):
    a, b = draw(5, 3, 3), draw(5, 3, 3, seed=1)
    counts = np.ones((5, 3), "float32")
    counts[1:3, 0] = 0
    counts[:, 2] = 0
    first = float(contrastive.info_nce(a[[0, 3, 4], 0], b[[0, 3, 4], 0], 0.2, symmetric))
    second = float(contrastive.info_nce(a[:, 1], b[:, 1], 0.2, symmetric))
    present = (counts, counts)
    found = float(info_nce_of_segments(a, b, 0.2, symmetric, present))
    assert found == pytest.approx((3 * first + 5 * second) / 8, rel=1e-5)
    # What stands in the padding does not matter.
    a[1:3, 0], b[:, 2] = 100, -3
    again = float(info_nce_of_segments(a, b, 0.2, symmetric, present))
    assert again == pytest.approx(found, rel=1e-6)
    nothing = (np.zeros((5, 3), "float32"),) * 2
    assert float(info_nce_of_segments(a, b, 0.2, symmetric, nothing)) == 0


def test_a_segment_missing_on_one_side_stays_a_candidate_on_the_other():
    a, b = draw(4, 1, 3), draw(4, 1, 3, seed=1)
    there, all_there = np.array([[1], [1], [0], [1]], "float32"), np.ones((4, 1), "float32")
    found = float(info_nce_of_segments(a, b, 0.2, True, (there, all_there)))
    clips = (there[:, 0], all_there[:, 0])
    expected = float(contrastive.info_nce(a[:, 0], b[:, 0], 0.2, True, clips))
    assert found == pytest.approx(expected, rel=1e-5)


def masks_of(kind, batch):
    if kind == "none":
        return None
    counts = np.ones((2, batch), "float32")
    counts[0, [1, 4]] = counts[1, 0] = 0
    return tuple(counts)


@pytest.mark.every_engine
@pytest.mark.parametrize("masks", ["none", "clips"])
@pytest.mark.parametrize("segments", [0, 3])
def test_info_nce_in_blocks_has_the_value_and_gradients_of_the_whole(segments, masks):
    shape = (segments, 7, 5) if segments else (7, 5)
    inputs = {"a": draw(*shape), "b": draw(*shape, seed=1)}
    present = masks_of(masks, 7)
    if present and segments:
        present = tuple(np.repeat(counts[None], segments, axis=0) for counts in present)

    def objective(blocks):
        return lambda x: contrastive.info_nce(x["a"], x["b"], 0.1, True, present, blocks)

    for blocks in (2, 7):
        assert float(objective(blocks)(inputs)) == pytest.approx(float(objective(1)(inputs)), 1e-6)
        _, whole = engine.gradients(objective(1), [], inputs)
        _, found = engine.gradients(objective(blocks), [], inputs)
        for name, gradient in whole.items():
            expected = ops.convert_to_numpy(gradient)
            np.testing.assert_allclose(
                ops.convert_to_numpy(found[name]), expected, atol=1e-6 * np.abs(expected).max()
            )


@pytest.mark.every_engine
@pytest.mark.parametrize("masks", ["none", "clips"])
def test_partners_in_blocks_are_those_of_the_whole(masks):
    a, b = draw(9, 3), draw(9, 3, seed=1)
    b[:4] = a[:4]
    b[8] = a[8] = a[0]  # equal clips share the hit
    whole = float(contrastive.partner_accuracy(a, b, masks_of(masks, 9)))
    assert 0 < whole < 1
    found = float(contrastive.partner_accuracy(a, b, masks_of(masks, 9), num_blocks=4))
    assert found == pytest.approx(whole, rel=1e-6)


def test_large_batches_are_computed_in_blocks(monkeypatch):
    monkeypatch.setattr(contrastive, "BLOCK_ELEMENTS", 20)
    assert contrastive.row_blocks((8, 3)) == 4
    sizes = []
    logsumexp = ops.logsumexp

    def noted(x, **options):
        sizes.append(tuple(x.shape))
        return logsumexp(x, **options)

    monkeypatch.setattr(contrastive.ops, "logsumexp", noted)
    contrastive.info_nce(draw(8, 3), draw(8, 3, seed=1))
    assert sizes == [(2, 8)] * 4


@pytest.mark.parametrize("function", [contrastive.info_nce, contrastive.partner_accuracy])
def test_queries_without_a_key_are_named(function):
    with pytest.raises(ValueError, match=r"same shape. Received shapes \(4, 3\) and \(5, 3\)"):
        function(np.ones((4, 3)), np.ones((5, 3)))
