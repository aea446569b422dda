"""Swapped prediction of codes against slow NumPy, and what masks do to it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import balanced_assignments, code_prediction_loss, sinkhorn
from tests.helpers.layer_checks import gradient

RANDOM = np.random.default_rng(0)
pytestmark = pytest.mark.every_engine


def similarities(*shape):
    return RANDOM.uniform(-1, 1, shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(value))


def slow_loss(similar, assigned, temperature):
    """Of modalities with the same frames, pair by pair."""
    total = 0.0
    names = list(similar)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            for student, teacher in ((a, b), (b, a)):
                logits = np.float64(similar[student]) / temperature
                log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
                total -= np.mean(np.sum(assigned[teacher] * log_p, axis=-1)) / 2
    return total


def test_loss_is_the_mean_of_both_directions_over_pairs():
    names = ("audio", "video", "text")
    similar = {name: similarities(3, 4, 5) for name in names}
    assigned = {name: array(balanced_assignments(x)) for name, x in similar.items()}
    found = float(code_prediction_loss(similar, assigned, 0.2))
    assert found == pytest.approx(slow_loss(similar, assigned, 0.2), rel=1e-5)


def test_every_code_has_the_same_share_of_each_modality():
    """However far the features of a modality lie from half of the codes."""
    similar = similarities(16, 4, 6)
    similar[..., :3] -= 5
    shares = array(balanced_assignments(similar, 0.05, num_iterations=50)).mean(axis=(0, 1))
    np.testing.assert_allclose(shares, 1 / 6, atol=1e-3)


def test_assignments_are_rows_of_the_plan():
    similar = similarities(2, 3, 4)
    plan = array(sinkhorn(similar.reshape(6, 4), 0.05, 5))
    expected = plan / plan.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(array(balanced_assignments(similar)).reshape(6, 4), expected, 1e-5)


def test_clips_are_compared_where_frames_differ():
    """A caption of one code and a sound of four frames: the mean of the sound's distributions."""
    similar = {"audio": similarities(3, 4, 5), "text": similarities(3, 5)}
    assigned = {name: array(balanced_assignments(x)) for name, x in similar.items()}

    def distribution(name):
        p = np.exp(np.float64(similar[name]) / 0.1)
        return p / p.sum(axis=-1, keepdims=True)

    expected = -0.5 * (
        (assigned["text"] * np.log(distribution("audio").mean(axis=1))).sum(axis=-1).mean()
        + (assigned["audio"].mean(axis=1) * np.log(distribution("text"))).sum(axis=-1).mean()
    )
    assert float(code_prediction_loss(similar, assigned)) == pytest.approx(expected, rel=1e-5)


def test_words_are_not_seconds_where_there_are_as_many():
    similar = {name: similarities(4, 5, 6) for name in ("audio", "video", "text")}
    assigned = {name: array(balanced_assignments(x)) for name, x in similar.items()}

    def loss(name, order, aligned):
        moved = [
            {n: array(x)[:, order] if n == name else x for n, x in values.items()}
            for values in (similar, assigned)
        ]
        return float(code_prediction_loss(*moved, aligned=aligned))

    order, kept, fine = [3, 0, 4, 1, 2], list(range(5)), ("audio", "video")
    assert loss("text", order, fine) == pytest.approx(loss("text", kept, fine), rel=1e-6)
    assert loss("video", order, fine) != pytest.approx(loss("video", kept, fine), rel=1e-3)
    assert loss("text", order, None) != pytest.approx(loss("text", kept, None), rel=1e-3)


def test_frames_that_hold_other_codes_are_not_taught_by_captions():
    """The second frame of the sound is background: its code is not that of the caption."""
    codes = np.eye(3, dtype="float32")
    sound = np.stack([0.5 * codes[0], codes[1]])[None]
    text = codes[0][None]

    def loss(value):
        similar = {"audio": value, "text": ops.convert_to_tensor(text)}
        uniform = np.full((1, 2, 3), 1 / 3, "float32")
        return code_prediction_loss(similar, {"audio": uniform, "text": text})

    slopes = np.abs(gradient(loss, sound))[0].max(axis=-1)
    assert slopes[0] > 0.01 and slopes[1] < 0.01 * slopes[0]


def test_masked_frames_and_missing_clips_change_nothing():
    similar = {"audio": similarities(4, 3, 5), "text": similarities(4, 6, 5)}
    mask = np.ones((4, 6), "float32")
    mask[0, 2:] = 0
    # The last clip has no text.
    mask[3] = 0
    weights = {"text": mask}

    def loss(text):
        given = {**similar, "text": text}
        assigned = {
            name: balanced_assignments(x, weights=weights.get(name)) for name, x in given.items()
        }
        return float(code_prediction_loss(given, assigned, weights=weights))

    changed = np.where(mask[..., None] > 0, similar["text"], 7.0).astype("float32")
    assert loss(changed) == pytest.approx(loss(similar["text"]), rel=1e-6)
    assigned = array(balanced_assignments(similar["text"], weights=mask))
    assert (assigned[mask == 0] == 0).all()


def test_assignments_have_no_gradient():
    variable = keras.Variable(similarities(2, 3, 4))
    assigned = balanced_assignments(ops.convert_to_tensor(variable))
    assert not getattr(assigned, "requires_grad", False)
