"""A masked clip or frame has the effect of one that is not there."""

import numpy as np
import pytest
from keras import ops

import keras_cmg.ops as cmg
from keras_cmg.backend import engine

RANDOM = np.random.default_rng(0)
ROWS, COLUMNS = np.array([1, 1, 0, 1, 1.0], "float32"), np.array([1, 0, 1, 1, 1.0], "float32")
WHOLE = (ROWS * COLUMNS) > 0


def normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(ops.convert_to_tensor(value))))


def slow_cross_entropy(logits, rows, columns):
    """Over rows that are whole, with the columns that are there as candidates."""
    losses = []
    for i in range(len(logits)):
        if rows[i] and columns[i]:
            candidates = [logits[i][j] for j in range(len(logits)) if columns[j]]
            losses.append(np.log(np.sum(np.exp(candidates))) - logits[i][i])
    return np.mean(losses)


def test_cross_entropy_in_both_directions():
    logits = normal(5, 5)
    found = float(cmg.diagonal_cross_entropy(logits, present=(ROWS, COLUMNS)))
    assert found == pytest.approx(slow_cross_entropy(logits, ROWS, COLUMNS), rel=1e-5)
    found = float(cmg.diagonal_cross_entropy(logits, axis=0, present=(ROWS, COLUMNS)))
    assert found == pytest.approx(slow_cross_entropy(logits.T, COLUMNS, ROWS), rel=1e-5)
    nothing = np.zeros(5, "float32")
    assert float(cmg.diagonal_cross_entropy(logits, present=(nothing, COLUMNS))) == 0.0


def test_info_nce_has_missing_clips_neither_as_anchors_nor_as_candidates():
    x, y = normal(5, 3), normal(5, 3)
    both = np.array([1, 0, 1, 1, 0.0], "float32")
    found = float(cmg.info_nce(x, y, 0.1, symmetric=True, present=(both, both)))
    kept = both > 0
    assert found == pytest.approx(
        float(cmg.info_nce(x[kept], y[kept], 0.1, symmetric=True)), rel=1e-5
    )
    slopes = engine.gradients(
        lambda v: cmg.info_nce(v["x"], v["y"], 0.1, True, (ROWS, COLUMNS)), [], {"x": x, "y": y}
    )[1]
    np.testing.assert_array_equal(array(slopes["x"])[ROWS == 0], 0.0)
    np.testing.assert_array_equal(array(slopes["y"])[COLUMNS == 0], 0.0)
    assert np.abs(array(slopes["x"])[ROWS > 0]).max() > 0


def test_zero_vectors_have_no_gradient():
    slopes = engine.gradients(
        lambda v: cmg.info_nce(v["x"], v["y"], 0.1), [], {"x": np.zeros((3, 2)), "y": normal(3, 2)}
    )[1]
    assert np.isfinite(array(slopes["y"])).all()
    np.testing.assert_array_equal(array(slopes["x"]), 0.0)


def test_accuracy_counts_whole_pairs():
    logits = 3 * np.eye(5, dtype="float32")
    logits[0, 1] = 9
    found = cmg.diagonal_accuracy(logits, present=(ROWS, COLUMNS))
    assert float(found) == 1.0  # Column 1, which beats the first row's own, is not there.
    assert float(cmg.diagonal_accuracy(logits)) == pytest.approx(0.8)


@pytest.mark.parametrize("candidates", ["targets", "predictions"])
def test_cpc_equals_cpc_of_those_that_are_there(candidates):
    logits, there = normal(2, 5, 5), np.array([1, 0, 1, 1, 0.0], "float32")
    present = (np.stack([there, there]), there)
    kept = np.ix_([0, 1], there > 0, there > 0)
    assert float(cmg.cpc_loss(logits, candidates, present)) == pytest.approx(
        float(cmg.cpc_loss(logits[kept], candidates)), rel=1e-5
    )


@pytest.mark.parametrize("kind", ["symmetric", "reference"])
def test_code_matching_equals_that_of_those_that_are_there(kind):
    x = {"audio": normal(5, 4, 3), "text": normal(5, 6, 3)}
    codes = normal(7, 3)
    there = np.array([1, 0, 1, 1, 0])
    mask = np.repeat(there[:, None], 6, axis=1)
    masks = {"audio": there, "text": mask}
    kept = {m: v[there > 0] for m, v in x.items()}
    # The reference's floor of 1e-5 is measured from the lowest score, which is of the whole batch.
    assert float(cmg.code_matching_loss(x, codes, kind, masks)) == pytest.approx(
        float(cmg.code_matching_loss(kept, codes, kind)), rel=1e-4
    )
    padded = {"audio": x["audio"], "text": x["text"].copy()}
    mask = np.array([[1, 1, 1, 0, 0, 0]] * 5)
    padded["text"][:, 3:] = 50.0
    short = {"audio": x["audio"], "text": x["text"][:, :3]}
    assert float(cmg.code_matching_loss(padded, codes, kind, {"text": mask})) == pytest.approx(
        float(cmg.code_matching_loss(short, codes, kind)), rel=1e-4
    )


@pytest.mark.parametrize("negatives", ["all", "permutation"])
def test_club_equals_club_of_those_that_are_there(negatives):
    mean, log_variance, y = normal(5, 4, 3), normal(5, 4, 3), normal(5, 4, 3)
    there = np.array([1, 0, 1, 1, 0])
    weights = np.repeat(there[:, None], 4, axis=1).astype("float32")
    kept = [v[there > 0] for v in (mean, log_variance, y)]
    order, among = np.array([2, 4, 3, 0, 1]), np.array([1, 2, 0])
    assert float(cmg.log_likelihood(mean, log_variance, y, weights)) == pytest.approx(
        float(cmg.log_likelihood(*kept)), rel=1e-5
    )
    assert float(
        cmg.club_upper_bound(mean, log_variance, y, negatives, order, weights)
    ) == pytest.approx(float(cmg.club_upper_bound(*kept, negatives, among)), rel=1e-4)


def test_mixtures_leave_missing_partners_out():
    x = {"a": normal(3, 2), "v": normal(3, 2), "t": normal(3, 2)}
    weights = {"t": np.array([1, 0, 0.0]), "v": np.array([1, 1, 0.0])}
    mixed = {m: array(v) for m, v in cmg.mix_modalities(x, weights).items()}
    whole = {m: array(v) for m, v in cmg.mix_modalities(x).items()}
    np.testing.assert_allclose(mixed["a"][0], whole["a"][0], rtol=1e-6)
    np.testing.assert_allclose(mixed["a"][1], 0.5 * x["a"][1] + 0.5 * x["v"][1], rtol=1e-6)
    np.testing.assert_allclose(mixed["a"][2], x["a"][2], rtol=1e-6)


def test_commitment_counts_partners_that_are_there():
    x = {"audio": normal(3, 4, 2), "text": normal(3, 6, 2)}
    q = {"audio": normal(3, 4, 2), "text": normal(3, 6, 2)}
    mask = np.array([[1, 1, 0, 0, 0, 0], [0] * 6, [1] * 6], "float32")
    losses = cmg.commitment_loss(x, q, 1.0, weights={"text": mask})
    own = np.mean((x["audio"] - q["audio"]) ** 2)
    partners = {0: q["text"][0, :2].mean(axis=0), 2: q["text"][2].mean(axis=0)}
    cross = np.mean([np.mean((x["audio"][i] - p) ** 2) for i, p in partners.items()])
    assert float(losses["audio"]) == pytest.approx(2 * own + 0.5 * cross, rel=1e-5)
    counted = mask > 0
    own = np.mean((x["text"] - q["text"])[counted] ** 2)
    cross = np.mean((x["text"] - q["audio"].mean(axis=1, keepdims=True))[counted] ** 2)
    assert float(losses["text"]) == pytest.approx(2 * own + 0.5 * cross, rel=1e-5)


def test_usage_and_agreement_count_what_is_there():
    indices = {"a": np.array([0, 1, 1, 2]), "t": np.array([0, 1, 3, 3])}
    weights = {"t": np.array([1, 1, 0, 0.0])}
    assert float(cmg.code_agreement(indices, weights)) == 1.0
    assert float(cmg.code_agreement(indices)) == 0.5
    usage = array(cmg.code_usage(indices["t"], 4, weights["t"]))
    np.testing.assert_allclose(usage, [0.5, 0.5, 0, 0])


def test_masks_follow_the_level_of_the_features():
    mask = np.array([[1, 0, 0], [0, 0, 0]])
    assert array(cmg.presence(mask)).tolist() == [1, 0]
    assert array(cmg.weights_like(mask, normal(2, 3, 4))).tolist() == mask.tolist()
    assert array(cmg.weights_like(mask, normal(2, 5, 4))).tolist() == [[1], [0]]
    assert array(cmg.weights_like(np.array([True, False]), normal(2, 4))).tolist() == [1, 0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_softmax_without_candidates_is_defined(dtype):
    logits = cmg.mask_logits(ops.ones((3,), dtype=dtype), np.array([0, 0, 0]))
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(ops.softmax(logits), "float32")), 1 / 3, rtol=1e-2
    )
