import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import JigsawClassifier
from keras_cmg.ops import jigsaw

RANDOM = np.random.default_rng(0)
X = {m: RANDOM.standard_normal((2, 3, 6)).astype("float32") for m in ("audio", "video", "text")}


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_pieces_of_the_drawn_modalities_stand_in_every_order():
    layer, parts = JigsawClassifier(3, hidden_units=4), np.array([2, 0, 2])
    assert layer.orders.tolist() == sorted(layer.orders.tolist()) and len(layer.orders) == 6
    found = array(layer.puzzles(X, parts))
    assert found.shape == (2, 3, 6, 6)
    pieces = [X["text"][..., :2], X["audio"][..., 2:4], X["text"][..., 4:]]
    for label, order in enumerate(layer.orders):
        expected = np.concatenate([pieces[i] for i in order], axis=-1)
        np.testing.assert_array_equal(found[:, :, label], expected)


def test_chosen_orders_have_their_place_as_label():
    layer = JigsawClassifier(2, order_indices=[1, 0])
    assert layer.orders.tolist() == [[1, 0], [0, 1]]
    logits = RANDOM.standard_normal((2, 3, 2, 2))
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    right = (log_p[..., 0, 0] + log_p[..., 1, 1]) / 2
    weights = np.array([[1, 0, 1], [0, 0, 1]])
    assert float(jigsaw.jigsaw_loss(logits)) == pytest.approx(-right.mean())
    expected = -(right * weights).sum() / 3
    assert float(jigsaw.jigsaw_loss(logits, weights)) == pytest.approx(expected)


def test_a_vector_counts_if_all_of_its_pieces_do():
    layer = JigsawClassifier(2)
    weights = {"text": np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])}
    assert array(layer.row_weights(X, weights, np.array([0, 1]))).all()
    np.testing.assert_array_equal(
        array(layer.row_weights(X, weights, np.array([0, 2]))), weights["text"]
    )
    assert layer.row_weights(X, {}) is None
    short = {**X, "text": X["text"][:, :2]}
    assert tuple(layer.puzzles(short, np.array([0, 1])).shape) == (2, 2, 2, 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_pieces": 1}, "`num_pieces` must be from 2 to 8"),
        ({"order_indices": [2]}, r"`order_indices` must be from 0 to 1. Received: \(2,\)"),
        ({"hidden_units": 0}, "`hidden_units` must be at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        JigsawClassifier(**arguments)


def test_bad_inputs_are_named():
    with pytest.raises(ValueError, match=r"that 4 pieces divide\. Received: 6"):
        JigsawClassifier(4)(X)
    with pytest.raises(ValueError, match="vectors of frames, or of clips, in all modalities"):
        JigsawClassifier(2).puzzles({**X, "text": X["text"][:, 0]})
