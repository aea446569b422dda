import math

import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import code_matching
from tests.helpers import numpy_reference
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("shape", [(4, 3), (4, 6, 3)])
def test_probabilities_equal_the_loop(shape):
    x, codebook = draw(*shape), draw(5, 3, seed=1)
    found = np.exp(ops.convert_to_numpy(code_matching.code_log_probabilities(x, codebook)))
    np.testing.assert_allclose(found, numpy_reference.code_probabilities(x, codebook), rtol=1e-4)


def test_loss_equals_the_loops():
    features = {name: draw(4, 6, 3, seed=i) for i, name in enumerate(("a", "v", "t"))}
    codebook = draw(5, 3, seed=9)
    p = {m: numpy_reference.code_probabilities(x, codebook) for m, x in features.items()}
    expected = 0.5 * sum(
        numpy_reference.cross_entropy(numpy_reference.code_matching_logits(p[m], p[n]))
        for m, n in (("a", "v"), ("a", "t"), ("v", "t"))
    )
    found = code_matching.code_matching_loss(features, codebook)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_reference_form_swaps_the_second_half():
    p, q = (
        numpy_reference.code_probabilities(draw(3, 2, seed=i), draw(4, 2, seed=9)) for i in (0, 1)
    )
    found = code_matching.code_matching_logits(
        np.log(p).astype("float32"), np.log(q).astype("float32"), "reference"
    )
    expected = p @ np.log(q).T + q @ np.log(p).T
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4)


def test_reference_loss_equals_the_authors_formula_where_that_does_not_overflow():
    scores = draw(4, 4)
    exponentials = np.exp(scores + np.max(-scores))
    expected = np.mean(-np.log(np.diag(exponentials) / (exponentials.sum(axis=1) + 1e-5)))
    assert float(code_matching.pair_loss(scores, "reference")) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", code_matching.KINDS)
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e4])
def test_finite_value_and_gradient_at_any_distance(scale, kind):
    codebook = draw(5, 3, seed=1) * scale
    partner = draw(4, 3, seed=2) * scale

    def loss(x):
        return code_matching.code_matching_loss({"a": x, "v": partner}, codebook, kind)

    # The first clip lies exactly on a code, where the distance has no derivative.
    x = np.concatenate([codebook[:1], scale * draw(3, 3, seed=3)])
    assert math.isfinite(float(loss(x)))
    assert np.isfinite(gradient(loss, x)).all()


def test_a_single_modality_has_nothing_to_match():
    assert float(code_matching.code_matching_loss({"a": draw(2, 3)}, draw(4, 3))) == 0.0


def test_unknown_form_is_named():
    with pytest.raises(ValueError, match=r"`kind` must be one of .*'liu'"):
        code_matching.code_matching_logits(draw(2, 3), draw(2, 3), "liu")
