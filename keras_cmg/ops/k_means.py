"""k-means clustering of vectors held in memory, for the initial values of codes."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_cmg.ops import quantization


def k_means(
    points: np.ndarray, num_clusters: int, num_iterations: int = 10, seed: int = 0
) -> np.ndarray:
    """Computes cluster centers by Lloyd's algorithm from a k-means++ start.

    Points are centered first, so that clusters far from the origin lose no digits.

    Args:
        points: float array `(points, dim)`, at least one point.
        num_clusters: int, number of centers. With fewer points than that, points are repeated with
            small noise.
        num_iterations: int, of Lloyd's algorithm.
        seed: int, of the start.

    Returns:
        float32 array `(num_clusters, dim)`.

    Example:

    >>> centers = k_means(np.array([[0.0], [1.0], [9.0]]), 2, 5)
    >>> sorted(centers[:, 0].round(4).tolist())
    [0.5, 9.0]

    References:
        Lloyd (1982), Least squares quantization in PCM;
        Arthur and Vassilvitskii (2007), k-means++: the advantages of careful seeding, section 2.2.
    """
    points = np.asarray(points)
    random = np.random.default_rng(seed)
    if len(points) < num_clusters:
        repeats = -(-num_clusters // len(points))
        repeated = np.tile(points, (repeats, 1))[:num_clusters]
        scale = 1e-3 * max(float(points.std()), 1e-6)
        return (repeated + scale * random.standard_normal(repeated.shape)).astype("float32")
    offset = points.mean(axis=0, dtype="float64")
    centered = (points - offset).astype("float32")
    return (_lloyd(centered, num_clusters, num_iterations, random) + offset).astype("float32")


def _lloyd(
    points: np.ndarray, num_clusters: int, num_iterations: int, random: np.random.Generator
) -> np.ndarray:
    """Centers of centered points, at least as many as centers."""
    centers = _plus_plus(points, num_clusters, random)
    for _ in range(num_iterations):
        nearest = ops.convert_to_numpy(quantization.nearest_codes(points, centers))
        # Sums over runs of equal neighbours: `np.add.at` adds number by number, which is slow.
        order = np.argsort(nearest, kind="stable")
        used, starts, sizes = np.unique(nearest[order], return_index=True, return_counts=True)
        centers[used] = np.add.reduceat(points[order], starts, axis=0) / sizes[:, None]
    return centers


def _plus_plus(points: np.ndarray, num_clusters: int, random: np.random.Generator) -> np.ndarray:
    """Initial centers far from one another; the points are centered."""
    # Distances from one product of a matrix and a vector each. What remains of the distance of a
    # point to itself is rounding, which must not be drawn.
    squares = np.square(points).sum(axis=1)
    rounding = 1e-5 * float(squares.max())
    indices = [int(random.integers(len(points)))]
    distances = np.full(len(points), np.inf)
    for _ in range(num_clusters - 1):
        last = indices[-1]
        to_last = squares - 2 * (points @ points[last]) + squares[last]
        distances = np.minimum(distances, np.where(to_last > rounding, to_last, 0.0))
        total = distances.sum()
        if total > 0:
            indices.append(int(random.choice(len(points), p=distances / total)))
        else:
            indices.append(int(random.integers(len(points))))
    return points[indices]
