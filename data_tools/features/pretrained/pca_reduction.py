"""Fewer dimensions, and equal variances, learned from training clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

RELATIVE_FLOOR = 1e-6
"""Least variance of a direction, relative to the largest, by which whitening divides."""


class PCAReduction:
    """Principal components of features, fitted once and applied everywhere.

    Without whitening all components are divided by one number, so that their mean square over the
    training features is 1 and distances keep their proportions. With whitening each component is
    divided by its own standard deviation; directions with next to no variance are not blown up.

    Args:
        size: components kept.
        whiten: whether every component gets variance 1.

    Raises:
        ValueError: if `size` is less than 1.

    Example:
        >>> values = np.random.default_rng(0).normal(size=(100, 3)) * (10, 1, 0.1)
        >>> reduction = PCAReduction(2).fit([values])
        >>> reduced = reduction(values)
        >>> reduced.shape, round(float(np.square(reduced).mean()), 3)
        ((100, 2), 1.0)

    References:
        Jolliffe, "Principal component analysis", 2002.
    """

    def __init__(self, size: int, whiten: bool = False) -> None:
        if size < 1:
            raise ValueError(f"`size` must be at least 1. Received: {size}")
        self.size, self.whiten = size, whiten
        self.mean = np.zeros(0, np.float32)
        self.components = np.zeros((0, size), np.float32)

    def fit(self, batches: Iterable[np.ndarray]) -> PCAReduction:
        """Learns mean and components.

        Args:
            batches: features `(..., dim)`, of any number of axes.

        Returns:
            Itself.

        Raises:
            ValueError: if the features have fewer dimensions, or there are too few of them.
        """
        count = 0
        total: np.ndarray = np.zeros(0)
        products: np.ndarray = np.zeros((0, 0))
        for batch in batches:
            rows = np.reshape(batch, (-1, np.shape(batch)[-1])).astype(np.float64)
            if not count:
                total, products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
            count += len(rows)
            total += rows.sum(0)
            products += rows.T @ rows
        dim = len(total)
        if not self.size <= min(dim, count):
            raise ValueError(
                f"`size` must be at most the number of dimensions, {dim}, and of training vectors, "
                f"{count}. Received: {self.size}"
            )
        mean = total / count
        values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
        variances = np.maximum(values[::-1][: self.size], 0.0)
        vectors = vectors[:, ::-1][:, : self.size]
        # The sign of an eigenvector is arbitrary: its largest entry is positive.
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(self.size)])
        if self.whiten:
            scale = np.sqrt(np.maximum(variances, RELATIVE_FLOOR * max(variances[0], 1e-30)))
        else:
            scale = np.sqrt(max(variances.mean(), 1e-30))
        self.mean = mean.astype(np.float32)
        self.components = (vectors * signs / scale).astype(np.float32)
        return self

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Reduces features `(..., dim)` to `(..., size)` float32.

        Raises:
            ValueError: if nothing was fitted or loaded yet.
        """
        if not len(self.components):
            raise ValueError("a reduction must be fitted or loaded before it is applied")
        return (features - self.mean) @ self.components

    def state(self) -> dict[str, np.ndarray]:
        """Fitted arrays by name."""
        return {"reduction_mean": self.mean, "reduction_components": self.components}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what `state` returned."""
        self.mean, self.components = state["reduction_mean"], state["reduction_components"]
