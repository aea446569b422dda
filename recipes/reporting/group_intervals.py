"""Intervals over what test clips are made of: recordings, pictures and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 2000


def unpacked(text: str, count: int) -> np.ndarray:
    """Unpacks flags that `recipes.training.model_measurement.packed` packed.

    Args:
        text: hexadecimal digits.
        count: number of flags.

    Returns:
        (count,) bool.

    Example:

    >>> unpacked("a1", 8).tolist()
    [True, False, True, False, False, False, False, True]
    """
    bits = np.frombuffer(bytes.fromhex(text), np.uint8)
    return np.unpackbits(bits, count=count).astype(bool)


def clip_weights(groups: Sequence[Sequence[int]], seed: int = 0, draws: int = DRAWS) -> np.ndarray:
    """Draws groups with replacement, and returns how much each clip weighs in each draw.

    A clip weighs as the mean over its groups of the number of times that each was drawn. Clips that
    share a recording are in a draw together, or not at all.

    Args:
        groups: groups of each clip; a clip without any is a group of its own.
        seed: seed of the draws.
        draws: number of draws.

    Returns:
        Float (draws, clips); rows sum to one.

    Example:

    >>> weights = clip_weights([[0], [0], [1]], draws=4)
    >>> bool(np.all(weights[:, 0] == weights[:, 1])), weights.sum(axis=1).round(6).tolist()
    (True, [1.0, 1.0, 1.0, 1.0])
    """
    known: dict[object, int] = {}
    members = [
        [known.setdefault(name, len(known)) for name in (names or (("clip", row),))]
        for row, names in enumerate(groups)
    ]
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(known), np.full(len(known), 1 / len(known)), size=draws)
    weights = np.stack([times[:, places].mean(axis=1) for places in members], axis=1)
    # A draw without a single clip, possible with few groups, counts every clip alike.
    weights[weights.sum(axis=1) == 0] = 1
    return weights / weights.sum(axis=1, keepdims=True)


def mean_draws(correct: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """Computes the mean accuracy over directions and seeds in every draw.

    Args:
        correct: "source->target" to (seeds, clips) bool.
        weights: modality to (draws, clips) of `clip_weights`.

    Returns:
        (draws,) accuracies, fractions.

    Example:

    >>> mean_draws({"audio->text": np.array([[True, False]])}, {"text": np.array([[0.25, 0.75]])})
    array([0.25])
    """
    found = [
        weights[pair.split("->")[1]] @ right.mean(axis=0, dtype=np.float64)
        for pair, right in correct.items()
    ]
    return np.mean(found, axis=0)


def percentile_interval(draws: np.ndarray) -> tuple[float, float]:
    """Returns the 2.5 and 97.5 percentiles.

    Args:
        draws: (draws,).

    Example:

    >>> percentile_interval(np.arange(101.0))
    (2.5, 97.5)
    """
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
