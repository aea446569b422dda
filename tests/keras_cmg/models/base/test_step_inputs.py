"""Masks at every level, by hand."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.models.base.step_inputs import StepInputs

MASK = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], "float32")


def inputs(**kwargs):
    return StepInputs({}, {}, {"text": MASK}, **kwargs)


def array(value):
    return np.array(ops.convert_to_numpy(value))


def test_weights_are_per_frame_per_clip_or_per_other_frames():
    x = {"audio": np.ones((2, 3, 4)), "text": np.ones((2, 3, 4))}
    assert list(inputs().weights(x)) == ["text"]
    np.testing.assert_array_equal(array(inputs().weights(x)["text"]), MASK)
    np.testing.assert_array_equal(array(inputs().weights_like("text", x["text"][:, 0])), [1, 0])
    other = inputs().weights_like("text", np.ones((2, 5, 4)))
    np.testing.assert_array_equal(array(other), [[1], [0]])
    frames = inputs().frame_weights("text", np.ones((2, 5, 4)))
    np.testing.assert_array_equal(array(frames), [[1] * 5, [0] * 5])
    np.testing.assert_array_equal(
        array(inputs().frame_weights("audio", x["audio"])), np.ones(3 * 2).reshape(2, 3)
    )


def test_pairs_count_where_both_are_there():
    x = np.ones((2, 4))
    first, second = inputs().pair_presence("audio", "text", x)
    np.testing.assert_array_equal(array(first), [1, 1])
    np.testing.assert_array_equal(array(second), [1, 0])
    np.testing.assert_array_equal(array(inputs().pair_weights("text", "audio", x)), [1, 0])
    assert inputs().pair_presence("audio", "video", x) is None
    assert inputs().pair_weights("audio", "video", x) is None


def test_clips_average_the_frames_that_count():
    x = {"text": np.arange(6.0).reshape(2, 3, 1), "audio": np.arange(6.0).reshape(2, 3, 1)}
    clips = inputs().clip_features(x)
    np.testing.assert_allclose(array(clips["text"]), [[0.5], [0.0]])
    np.testing.assert_allclose(array(clips["audio"]), [[1.0], [4.0]])


def test_stacks_have_the_weights_of_their_parts():
    x = {"audio": np.ones((2, 3, 4), "float32"), "text": np.zeros((2, 3, 4), "float32")}
    assert tuple(inputs().stack(x).shape) == (4, 3, 4)
    expected = np.concatenate([np.ones((2, 3)), MASK])
    np.testing.assert_array_equal(array(inputs().stacked_weights(x)), expected)
    assert inputs().stacked_weights({"audio": x["audio"]}) is None


def test_draws_are_counted_in_training_alone():
    assert int(inputs(step=3, training=True).draw_counter) == 3
    assert int(inputs(step=3).draw_counter) == 0
    assert inputs().own is not None and inputs().gather() is not None


def test_inputs_cannot_be_changed():
    with pytest.raises(AttributeError):
        inputs().training = True
