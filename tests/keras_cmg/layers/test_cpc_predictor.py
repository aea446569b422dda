import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import CPCPredictor
from keras_cmg.ops import cpc_loss


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def pair(clips=3, frames=6):
    return {"audio": draw(clips, frames, 4), "video": draw(clips, frames, 4, seed=1)}


@pytest.mark.parametrize("split_biases", [False, True])
def test_the_future_has_no_influence_on_the_context(split_biases):
    layer, x = CPCPredictor(3, num_layers=2, split_biases=split_biases), pair()
    layer(x, time=2)
    changed = x["audio"].copy()
    changed[:, 3:] += 5
    before, after = (array(layer.context("audio", v, 2)) for v in (x["audio"], changed))
    np.testing.assert_array_equal(before, after)
    assert not np.allclose(array(layer.context("audio", changed, 3)), before)


def test_logits_compare_step_t_plus_r_with_its_prediction():
    layer, x = CPCPredictor(3, num_prediction_steps=2), pair()
    logits = layer(x, time=1)
    context = layer.context("audio", x["audio"], 1)
    for r in range(2):
        prediction = array(layer.predictors["audio"][r](context))
        expected = x["video"][:, 2 + r] @ prediction.T
        np.testing.assert_allclose(array(logits["audio->video"])[r], expected, rtol=1e-4, atol=1e-6)


def test_constant_features_give_the_log_of_the_batch():
    x = {name: np.ones((5, 6, 4), "float32") for name in ("audio", "video")}
    for logits in CPCPredictor(3)(x, time=2).values():
        assert float(ops.stop_gradient(cpc_loss(logits))) == pytest.approx(math.log(5), rel=1e-5)


def test_lstm_with_two_biases_equals_its_formula():
    layer, x = CPCPredictor(3, split_biases=True), pair(frames=3)
    layer(x, time=1)
    (recurrent,) = layer.contexts["audio"]
    random = np.random.default_rng(3)
    weights = [random.standard_normal(w.shape) for w in recurrent.get_weights()]
    recurrent.set_weights(weights)
    kernel, recurrent_kernel, bias, recurrent_bias = weights

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    hidden, carry = np.zeros((3, 3)), np.zeros((3, 3))
    for t in range(2):
        z = x["audio"][:, t] @ kernel + hidden @ recurrent_kernel + bias + recurrent_bias
        i, f, g, o = np.split(z, 4, axis=-1)
        carry = sigmoid(f) * carry + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(carry)
    np.testing.assert_allclose(
        array(layer.context("audio", x["audio"], 1)), hidden, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("name", ["units", "num_layers", "num_prediction_steps"])
def test_sizes_must_be_positive(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be at least 1. Received: 0"):
        CPCPredictor(**{name: 0})


def test_short_clips_are_named():
    with pytest.raises(
        ValueError, match=r"'audio' must have more frames than the 2 steps.*\(3, 2, 4\)"
    ):
        CPCPredictor(3, num_prediction_steps=2)(pair(frames=2), time=0)


@pytest.mark.parametrize("split_biases", [False, True])
def test_recurrent_layers_compute_in_full_precision(split_biases):
    layer = CPCPredictor(3, split_biases=split_biases, dtype="mixed_bfloat16")
    logits = layer(pair(), time=2)
    assert {c.compute_dtype for cs in layer.contexts.values() for c in cs} == {"float32"}
    assert {"bfloat16"} == {keras.backend.standardize_dtype(x.dtype) for x in logits.values()}


def test_other_widths_are_named():
    x = {"audio": pair()["audio"], "video": pair()["video"][..., :2]}
    with pytest.raises(ValueError, match=r"must have the same width. Received: .*'video': 2"):
        CPCPredictor(3)(x, time=0)
