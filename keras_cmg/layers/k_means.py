"""Starting places for codes."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_cmg.ops import quantization


def k_means(points: np.ndarray, count: int, iterations: int, seed: int) -> np.ndarray:
    """Centres of clusters by Lloyd's algorithm from a k-means++ start.

    Args:
        points: float array `(points, dim)`, at least one.
        count: number of centres; where there are fewer points, they double up with small noise.
        iterations: of Lloyd's algorithm.
        seed: of the start.

    Returns:
        float32 array `(count, dim)`.

    Example:

    >>> sorted(k_means(np.array([[0.0], [1.0], [9.0]], "float32"), 2, 5, seed=0)[:, 0].tolist())
    [0.5, 9.0]
    """
    random = np.random.default_rng(seed)
    if len(points) < count:
        repeats = -(-count // len(points))
        doubled = np.tile(points, (repeats, 1))[:count]
        scale = 1e-3 * max(float(points.std()), 1e-6)
        return (doubled + scale * random.standard_normal(doubled.shape)).astype("float32")
    codes = _spread_start(points, count, random)
    for _ in range(iterations):
        nearest = ops.convert_to_numpy(quantization.nearest_codes(points, codes))
        # Sums over runs of equal neighbours, since `np.add.at` goes number by number.
        order = np.argsort(nearest, kind="stable")
        used, starts, sizes = np.unique(nearest[order], return_index=True, return_counts=True)
        codes[used] = np.add.reduceat(points[order], starts, axis=0) / sizes[:, None]
    return codes.astype("float32")


def _spread_start(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Starting codes far from one another (k-means++; Arthur and Vassilvitskii, 2007)."""
    # Distances by one product of a matrix and a vector each. Centred, so that little cancels; what
    # is left of a point's distance to itself is rounding, and no distance.
    centred = points - points.mean(axis=0)
    squares = np.square(centred).sum(axis=1)
    rounding = 1e-5 * float(squares.max())
    chosen = [int(random.integers(len(points)))]
    distances = np.full(len(points), np.inf)
    for _ in range(count - 1):
        last = chosen[-1]
        found = squares - 2 * (centred @ centred[last]) + squares[last]
        distances = np.minimum(distances, np.where(found > rounding, found, 0.0))
        total = distances.sum()
        if total > 0:
            chosen.append(int(random.choice(len(points), p=distances / total)))
        else:
            chosen.append(int(random.integers(len(points))))
    return points[chosen]
