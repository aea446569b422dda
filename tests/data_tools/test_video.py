"""The patch dictionary: patches, assignment and pooling against slow obvious code."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.features import VideoFeatures, video


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (40, 7, 7))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.fixture(scope="module")
def features(frames: np.ndarray) -> VideoFeatures:
    return VideoFeatures(channels=12, seed=0).fit(frames)


def test_patch_is_the_normalised_neighbourhood(frames: np.ndarray) -> None:
    patches = video.extract_patches(frames[:2], 5).reshape(2, 14, 14, 25)
    around = frames[1, 10 - 2 : 10 + 3, 6 - 2 : 6 + 3].reshape(-1) / 255
    expected = (around - around.mean()) / np.sqrt(around.var() + 0.1)
    np.testing.assert_allclose(patches[1, 5, 3], expected, atol=1e-5)


def test_large_and_coloured_frames_are_brought_to_size(frames: np.ndarray) -> None:
    large = np.stack([frames, frames // 2, 0 * frames], -1).repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(
        video.extract_patches(large), video.extract_patches(frames), atol=1e-6
    )


def test_map_is_the_triangle_assignment(features: VideoFeatures, frames: np.ndarray) -> None:
    maps = features(frames)
    assert maps.shape == (40, 7, 7, 12)
    assert maps.dtype == np.float32
    codes = (video.extract_patches(frames[:1]) - features.mean) @ features.whitening
    distances = np.linalg.norm(codes[:, None] - features.centroids, axis=-1).reshape(14, 14, 12)
    active = np.maximum(distances.mean(-1, keepdims=True) - distances, 0) * features.scale
    cell = active[4:6, 8:10].mean((0, 1))
    np.testing.assert_allclose(maps[0, 2, 4], cell, rtol=1e-3, atol=1e-4)
    assert np.sqrt(np.mean(maps**2)) == pytest.approx(1, rel=1e-3)


def test_fit_is_a_function_of_frames_and_seed(features: VideoFeatures, frames: np.ndarray) -> None:
    again = VideoFeatures(channels=12, seed=0).fit(frames)
    for name, value in features.state().items():
        np.testing.assert_array_equal(again.state()[name], value)
    other = VideoFeatures(channels=12, seed=1).fit(frames)
    assert not np.array_equal(other.centroids, features.centroids)


def test_state_is_enough_to_encode(features: VideoFeatures, frames: np.ndarray) -> None:
    again = VideoFeatures()
    again.load_state(features.state())
    np.testing.assert_array_equal(again(frames), features(frames))


def test_blank_frames_are_finite(features: VideoFeatures) -> None:
    assert np.isfinite(features(np.zeros((1, 28, 28), np.uint8))).all()
    blank = VideoFeatures(channels=4).fit(np.zeros((5, 28, 28), np.uint8))
    assert np.isfinite(blank(np.zeros((1, 28, 28), np.uint8))).all()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 28, 28)),
        np.zeros((1, 30, 30), np.uint8),
        np.zeros((1, 28, 56), np.uint8),
        np.zeros((28, 28), np.uint8),
    ],
    ids=["float", "side", "oblong", "no batch"],
)
def test_wrong_frames_are_named(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"`frames` must be uint8 .* Received: \w+ of shape"):
        video.extract_patches(wrong)


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"`channels` must be at least 1\. Received: 0"):
        VideoFeatures(channels=0)
    with pytest.raises(ValueError, match=r"at least 64 patches.* Received: 2 frames"):
        VideoFeatures(channels=64).fit(np.zeros((2, 28, 28), np.uint8))
