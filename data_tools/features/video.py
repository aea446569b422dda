"""Video features: 7 x 7 x C maps of pictures, from an unsupervised dictionary of patches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

GRID = 7
POSITIONS = 14
"""Patches per side; 2 x 2 of them are averaged into a cell of the grid."""
PATCH_SIZE = 15
NUM_WHITENED = 40
CONTRAST_EPSILON = 0.1
PATCHES_PER_FRAME = 30
"""Patches drawn from each training frame to fit the dictionary."""


def extract_patches(frames: np.ndarray, patch_size: int = PATCH_SIZE) -> np.ndarray:
    """Extracts contrast-normalised square patches around a 14 x 14 grid of positions.

    Args:
        frames: (n, height, width) or (n, height, width, 3) uint8; both sides a multiple of 14, at
            least 28. Larger frames are first averaged down to 28 pixels.
        patch_size: side of a patch in pixels of the 28-pixel picture, odd.

    Returns:
        (n * 196, patch_size**2) float32, mean 0 and about unit variance each.

    Raises:
        ValueError: if the frames are not square pictures of bytes with such a side.

    Example:
        >>> extract_patches(np.zeros((2, 56, 56, 3), np.uint8)).shape
        (392, 225)
    """
    side = 2 * POSITIONS
    if (
        frames.ndim not in (3, 4)
        or frames.dtype != np.uint8
        or frames.shape[1] != frames.shape[2]
        or frames.shape[1] % side
    ):
        raise ValueError(
            f"`frames` must be uint8 of shape (n, side, side[, 3]), side a multiple of {side}. "
            f"Received: {frames.dtype} of shape {frames.shape}"
        )
    factor = frames.shape[1] // side
    # Brightness only: most of the dictionary would encode colours, which tell little about shapes.
    pixels = frames.reshape(len(frames), side, factor, side, factor, -1).max(-1)
    margin = patch_size // 2
    padding = ((0, 0), (margin, margin), (margin, margin))
    pixels = np.pad(pixels.mean((2, 4), dtype=np.float32) / 255, padding)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (patch_size, patch_size), (1, 2))
    patches = windows[:, :side:2, :side:2].reshape(len(frames) * POSITIONS**2, -1)
    patches -= patches.mean(1, keepdims=True)
    patches /= np.sqrt(patches.var(1, keepdims=True) + CONTRAST_EPSILON)
    return patches


class VideoFeatures:
    """Computes soft assignments of whitened patches to k-means centroids, pooled on a 7 x 7 grid.

    Args:
        channels: number of centroids.
        seed: seed of the patch sample and of k-means.

    Raises:
        ValueError: if `channels` is less than 1.

    Example:
        >>> frames = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
        >>> VideoFeatures(channels=8).fit(frames)(frames).shape
        (20, 7, 7, 8)

    References:
        Coates and Ng, "The importance of encoding versus training with sparse coding and vector
        quantization", ICML 2011: the "triangle" assignment, f_k = max(0, mean(z) - z_k).
    """

    def __init__(self, channels: int = 64, seed: int = 0) -> None:
        if channels < 1:
            raise ValueError(f"`channels` must be at least 1. Received: {channels}")
        self.channels = channels
        self.seed = seed
        self.mean = self.whitening = self.centroids = np.zeros(0, np.float32)
        self.scale = np.float32(1)

    def fit(self, frames: np.ndarray) -> VideoFeatures:
        """Fits whitening and dictionary to training frames.

        Raises:
            ValueError: if there are too few frames for that many channels.
        """
        from sklearn.cluster import MiniBatchKMeans

        if PATCHES_PER_FRAME * len(frames) < self.channels:
            raise ValueError(
                f"`frames` must give at least {self.channels} patches, one per channel, "
                f"{PATCHES_PER_FRAME} each. Received: {len(frames)} frames"
            )
        rng = np.random.default_rng(self.seed)
        patches = np.concatenate(
            [
                rng.choice(extract_patches(part), PATCHES_PER_FRAME * len(part))
                for part in np.array_split(frames, max(1, len(frames) // 256))
            ]
        )
        self.mean = patches.mean(0)
        variances, directions = np.linalg.eigh(np.cov(patches - self.mean, rowvar=False))
        variances, directions = (
            variances[::-1][:NUM_WHITENED],
            directions[:, ::-1][:, :NUM_WHITENED],
        )
        damped = np.sqrt(np.maximum(variances, 0) + 0.1 * variances.mean() + 1e-8)
        self.whitening = (directions / damped).astype(np.float32)
        kmeans = MiniBatchKMeans(
            self.channels, random_state=self.seed, n_init=1, batch_size=4096, max_iter=20
        )
        kmeans.fit((patches - self.mean) @ self.whitening)
        self.centroids = kmeans.cluster_centers_.astype(np.float32)
        self.scale = np.float32(1)
        sample = rng.choice(len(frames), min(len(frames), 1000), replace=False)
        self.scale = np.float32(1 / max(np.sqrt(np.mean(np.square(self(frames[sample])))), 1e-6))
        return self

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Computes feature maps: (n, side, side[, 3]) uint8 to (n, 7, 7, channels) float32."""
        parts = [self._encode(frames[i : i + 64]) for i in range(0, len(frames), 64)]
        return np.concatenate(parts)

    def _encode(self, frames: np.ndarray) -> np.ndarray:
        codes = (extract_patches(frames) - self.mean) @ self.whitening
        squares = np.sum(codes**2, 1, keepdims=True) + np.sum(self.centroids**2, 1)
        distances = np.sqrt(np.maximum(squares - 2 * codes @ self.centroids.T, 0))
        active = np.maximum(distances.mean(1, keepdims=True) - distances, 0)
        cells = active.reshape(len(frames), GRID, 2, GRID, 2, self.channels)
        return cells.mean((2, 4)) * self.scale

    def state(self) -> dict[str, np.ndarray]:
        """Returns the fitted arrays by name."""
        return {
            "mean": self.mean,
            "whitening": self.whitening,
            "centroids": self.centroids,
            "scale": np.asarray(self.scale),
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores the arrays that `state` returned."""
        self.mean, self.whitening = state["mean"], state["whitening"]
        self.centroids, self.scale = state["centroids"], np.float32(state["scale"])
        self.channels = len(self.centroids)
