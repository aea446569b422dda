"""Alignment within a sliding window: against loops, with masks, and with clips out of step."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.ops import info_nce, sliding_distance, sliding_info_nce, sliding_window
from tests.helpers import numpy_reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def windowed(x, y, radius):
    """Similarity of frame t of clip i and the window around it in clip j, by loops."""
    batch, frames = x.shape[:2]
    found = np.full((frames, batch, batch), -np.inf)
    for t in range(frames):
        for u in range(y.shape[1]):
            if abs(t - u) <= radius:
                found[t] = np.maximum(found[t], unit(x[:, t]) @ unit(y[:, u]).T)
    return found


@pytest.mark.parametrize("radius", [0, 1, 2.5])
def test_frames_find_the_window_of_their_clip(radius):
    x, y = draw(4, 6, 3), draw(4, 6, 3, seed=1)
    logits = windowed(x, y, radius) / 0.2
    expected = np.mean([numpy_reference.cross_entropy(part) for part in logits])
    assert float(sliding_info_nce(x, y, radius, 0.2)) == pytest.approx(expected, rel=1e-4)
    back = np.mean([numpy_reference.cross_entropy(part.T) for part in logits])
    both = float(sliding_info_nce(x, y, radius, 0.2, symmetric=True))
    assert both == pytest.approx((expected + back) / 2, rel=1e-4)


def test_without_a_window_it_is_the_contrast_of_segments():
    x, y = draw(4, 6, 3), draw(4, 6, 3, seed=1)
    plain = info_nce(x.swapaxes(0, 1), y.swapaxes(0, 1), 0.1)
    assert float(sliding_info_nce(x, y, 0, 0.1)) == pytest.approx(float(plain), rel=1e-4)


def test_a_window_bridges_a_delay():
    x = draw(8, 6, 16)
    late = np.roll(x, 1, axis=1)
    assert float(sliding_info_nce(x, late, 1)) < 0.5 * float(sliding_info_nce(x, late, 0))
    assert float(sliding_distance(x[:, :-1], late[:, :-1], 1)) < 1.0
    inner = float(sliding_distance(x[:, 1:-1], x[:, 1:-1], 1))
    assert inner == pytest.approx(0.0, abs=1e-6)


def test_distances_are_to_the_nearest_target_in_the_window():
    x, y = draw(3, 5, 2), draw(3, 5, 2, seed=1)
    squares = np.square(x[:, :, None] - y[:, None]).mean(axis=-1)
    near = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) <= 1
    expected = np.where(near, squares, np.inf).min(axis=2).mean()
    assert float(sliding_distance(x, y, 1)) == pytest.approx(expected, rel=1e-5)


def test_masked_frames_have_no_part():
    x, y = draw(4, 6, 3), draw(4, 6, 3, seed=1)
    weights = np.ones((4, 6), "float32"), np.ones((4, 6), "float32")
    assert float(sliding_info_nce(x, y, 1, weights=weights)) == pytest.approx(
        float(sliding_info_nce(x, y, 1)), rel=1e-5
    )
    weights[0][1, 4:], weights[1][2] = 0, 0
    junk = [x.copy(), y.copy()]
    junk[0][1, 4:], junk[1][2] = 9.0, -7.0
    for function in (sliding_info_nce, sliding_distance):
        expected = float(function(x, y, 1, weights=weights))
        assert float(function(*junk, 1, weights=weights)) == pytest.approx(expected, rel=1e-4)
        nothing = tuple(np.zeros_like(w) for w in weights)
        assert float(function(x, y, 1, weights=nothing)) == 0.0
    kept = float(sliding_info_nce(x[[0, 3]], y[[0, 3]], 1))
    weights[0][1:3], weights[1][1:3] = 0, 0
    assert float(sliding_info_nce(x, y, 1, weights=weights)) == pytest.approx(kept, rel=1e-4)


@pytest.mark.parametrize("frames, other", [(10, 7), (7, 10), (3, 9), (9, 1)])
def test_each_window_of_another_length_holds_the_nearest_frame(frames, other):
    window = array(sliding_window(frames, other, 0.0))
    here, there = ((np.arange(n) + 0.5) / n for n in (frames, other))
    nearest = np.abs(here[:, None] - there).argmin(axis=1)
    assert window[np.arange(frames), nearest].all()
    assert window.any(axis=1).all()
    x, y = draw(4, frames, 3), draw(4, other, 3)
    assert np.isfinite(float(sliding_info_nce(x, y, 0.0)))
