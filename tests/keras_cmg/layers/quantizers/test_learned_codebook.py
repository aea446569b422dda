"""Codes with an explicit codebook: learned by gradient, compared by cosine, frozen, replaced."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import Codebook, LearnedCodebook
from keras_cmg.ops import orthogonality_loss
from tests.helpers.layer_checks import gradient

BOTH = {"Codebook": Codebook, "LearnedCodebook": LearnedCodebook}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def trained(layer, x, steps=5):
    model = keras.Sequential([keras.Input(x.shape[1:]), Picked(layer)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    model.fit(x, x, batch_size=len(x), epochs=steps, verbose=0)
    return model


class Picked(keras.layers.Layer):
    """The quantised vectors of a quantiser."""

    def __init__(self, quantizer, **kwargs):
        super().__init__(**kwargs)
        self.quantizer = quantizer

    def call(self, x, training=False):
        return self.quantizer(x, training=training)["quantized"]


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_frozen_codes_stay_and_the_others_learn(name, similarity):
    layer = BOTH[name](
        6, 3, initial_scale=1.0, frozen_codes=(4, 0), similarity=similarity, dead_code_patience=2
    )
    x = draw(40, 3)
    layer(x)
    before = array(layer.codebook)
    trained(layer, x)
    after = array(layer.codebook)
    np.testing.assert_array_equal(after[[0, 4]], before[[0, 4]])
    assert (np.abs(after - before).max(axis=1)[[1, 2, 3, 5]] > 0).all()
    saved = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert saved.frozen_codes == (0, 4)
    layer.frozen_codes = ()
    trained(layer, x)
    assert np.abs(array(layer.codebook) - after)[[0, 4]].max() > 0
    with pytest.raises(ValueError, match="`frozen_codes` must be from 0 to 5"):
        layer.frozen_codes = [6]


@pytest.mark.parametrize("name", BOTH)
def test_cosine_ignores_lengths(name):
    layer, x = BOTH[name](6, 3, similarity="cosine"), draw(40, 3)
    near, far = layer(x), layer(100 * x, training=True)
    np.testing.assert_array_equal(array(near["indices"]), array(far["indices"]))
    np.testing.assert_allclose(np.linalg.norm(array(layer.codebook), axis=1), 1, rtol=1e-5)
    cosine = x @ array(near["codes"]).T / np.linalg.norm(x, axis=1, keepdims=True)
    assert (np.diag(cosine) >= cosine.max(axis=1) - 1e-5).all()
    layer.adapt(x)
    np.testing.assert_allclose(np.linalg.norm(array(layer.codebook), axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", BOTH)
def test_dead_codes_are_replaced_and_stay(name):
    layer = BOTH[name](5, 3, initial_scale=0.1, dead_code_patience=3)
    layer.build()
    x = 50.0 + draw(8, 3)
    for _ in range(5):
        layer(x, training=True)
    codes = array(layer.codebook)
    assert (np.abs(codes - 50).max(axis=1) < 10).sum() >= 4
    layer(x, training=True)
    assert (np.abs(array(layer.codebook) - codes).max(axis=1) < 2).sum() >= 4


def test_diveq_learns_codes_without_auxiliary_losses():
    x = draw(200, 2) + np.repeat([[4.0, 4], [-4, 4], [-4, -4], [4, -4]], 50, axis=0)
    x = x.astype("float32")
    layer = LearnedCodebook(
        4, 2, gradient="diveq", codebook_cost=0.0, commitment_cost=0.0, initial_scale=1.0
    )
    before = float(np.square(x - array(layer(x)["codes"])).mean())
    trained(layer, x, steps=60)
    assert layer.losses == []
    assert float(np.square(x - array(layer(x)["codes"])).mean()) < 0.3 * before


def test_orthogonality_equals_the_loop_over_pairs():
    for shape in ((4, 6), (7, 3)):
        codes = draw(*shape)
        unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
        pairs = [
            np.dot(a, b) ** 2 for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j
        ]
        np.testing.assert_allclose(
            float(orthogonality_loss(codes)), sum(pairs) / shape[0] ** 2, rtol=1e-4, atol=1e-7
        )
    layer = LearnedCodebook(6, 3, codebook_cost=0.0, commitment_cost=0.0, orthogonality_weight=1.0)
    slope = gradient(lambda codes: orthogonality_loss(codes), draw(6, 3))
    assert np.abs(slope).max() > 0
    layer(draw(4, 3), training=True)
    np.testing.assert_allclose(
        float(array(layer.losses[0])), float(orthogonality_loss(array(layer.codebook))), rtol=1e-5
    )


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`gradient` must be one of \('straight_through', 'rota"):
        Codebook(gradient="diveq")
    with pytest.raises(ValueError, match="`similarity` must be one of"):
        LearnedCodebook(similarity="dot")


@pytest.mark.parametrize("kind", BOTH)
def test_frozen_codes_stay_where_others_are_placed_at_centers(kind):
    layer = BOTH[kind](4, 2, initial_scale=1.0, frozen_codes=(1, 3))
    layer.build()
    before = array(layer.codebook)
    layer.adapt(9.0 + draw(50, 2))
    np.testing.assert_allclose(array(layer.codebook)[[1, 3]], before[[1, 3]], rtol=1e-6)
    assert (array(layer.codebook)[[0, 2]] > 4).all()
    # The moving averages agree with the codes: a step leaves those that are frozen.
    layer(9.0 + draw(50, 2), training=True)
    np.testing.assert_allclose(array(layer.codebook)[[1, 3]], before[[1, 3]], rtol=1e-6)


def test_codes_may_start_at_zero():
    layer = Codebook(4, 2, initial_scale=0.0)
    layer.build()
    assert not array(layer.codebook).any()


@pytest.mark.parametrize("argument", ["decay", "mix_modalities", "replace_in_evaluation"])
def test_arguments_of_moving_averages_are_refused(argument):
    with pytest.raises(ValueError, match=rf"has no moving averages.*\['{argument}'\]"):
        LearnedCodebook(4, 2, **{argument: True})
