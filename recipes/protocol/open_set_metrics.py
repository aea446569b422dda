"""Metrics of recognition with unknown classes: known accuracy, unknown recall, AUROC, FPR.

A clip is accepted if its score is at least the threshold, and rejected as unknown otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

NUM_THRESHOLDS = 10
"""Thresholds that the published code tries, equally spaced over the scores of the test clips."""
ACCEPTED = 0.95
"""Share of known clips that FPR at 95 % accepts."""


class OpenSetScores(NamedTuple):
    """Shares of test clips at one threshold."""

    known: float
    """Share of the clips of known classes that are accepted and given their class."""
    unknown: float
    """Share of the clips of unknown classes that are rejected."""
    hos: float
    """Harmonic mean of both."""


def harmonic_mean(known: float, unknown: float) -> float:
    """Computes the harmonic mean of two shares (HOS).

    Args:
        known: accuracy on known classes.
        unknown: recall of unknown classes.

    Returns:
        A fraction; 0 if both are 0.

    Example:

    >>> round(harmonic_mean(0.9, 0.6), 6), harmonic_mean(0.0, 0.0)
    (0.72, 0.0)

    References:
        Bucci, Loghmani, Tommasi, "On the effectiveness of image rotation for open set domain
        adaptation", ECCV 2020, Eq. 5.
    """
    total = known + unknown
    return 2 * known * unknown / total if total > 0 else 0.0


def open_set_scores(
    scores: np.ndarray, correct: np.ndarray, is_known: np.ndarray, threshold: float
) -> OpenSetScores:
    """Computes known accuracy, unknown recall and their harmonic mean at a threshold.

    Args:
        scores: float (clips,), higher for clips that look known.
        correct: (clips,) bool, whether the class given is the true one.
        is_known: (clips,) bool, whether the true class is known.
        threshold: smallest accepted score.

    Returns:
        Fractions.

    Raises:
        ValueError: if clips of known or of unknown classes are missing, or a score is not finite.

    Example:

    >>> scores, known = np.array([0.9, 0.4, 0.3, 0.8]), np.array([True, True, False, False])
    >>> open_set_scores(scores, known, known, 0.5)
    OpenSetScores(known=0.5, unknown=0.5, hos=0.5)
    """
    _check(scores, is_known)
    accepted = scores >= threshold
    known = float((accepted & correct)[is_known].mean())
    unknown = float((~accepted)[~is_known].mean())
    return OpenSetScores(known, unknown, harmonic_mean(known, unknown))


def best_of_spaced_thresholds(
    scores: np.ndarray, correct: np.ndarray, is_known: np.ndarray
) -> tuple[float, OpenSetScores]:
    """Chooses the threshold on the labels of the clips themselves, as the published code does.

    `NUM_THRESHOLDS` thresholds are equally spaced from the smallest to the largest score; the first
    of those with the largest harmonic mean is taken.

    Args:
        scores: float (clips,).
        correct: (clips,) bool.
        is_known: (clips,) bool.

    Returns:
        The threshold, and the scores at it.

    Raises:
        ValueError: if clips of known or of unknown classes are missing, or a score is not finite.

    Example:

    >>> scores, known = np.array([0.9, 0.4, 0.25, 0.0]), np.array([True, True, False, False])
    >>> threshold, found = best_of_spaced_thresholds(scores, known, known)
    >>> round(threshold, 6), found.hos
    (0.3, 1.0)
    """
    _check(scores, is_known)
    candidates = np.linspace(scores.min(), scores.max(), NUM_THRESHOLDS)
    return _best(scores, correct, is_known, candidates)


def best_threshold(scores: np.ndarray, correct: np.ndarray, is_known: np.ndarray) -> float:
    """Returns the threshold with the largest harmonic mean among all scores of the clips.

    Args:
        scores: float (clips,).
        correct: (clips,) bool.
        is_known: (clips,) bool.

    Returns:
        The smallest of equally good thresholds.

    Raises:
        ValueError: if clips of known or of unknown classes are missing, or a score is not finite.

    Example:

    >>> scores, known = np.array([0.9, 0.4, 0.3, 0.0]), np.array([True, True, False, False])
    >>> best_threshold(scores, known, known)
    0.4
    """
    _check(scores, is_known)
    return _best(scores, correct, is_known, np.unique(scores))[0]


def auroc(scores: np.ndarray, is_known: np.ndarray) -> float:
    """Computes the area under the ROC curve of known against unknown clips.

    It is the probability that a random known clip has a larger score than a random unknown one;
    ties count half.

    Args:
        scores: float (clips,).
        is_known: (clips,) bool.

    Returns:
        A fraction; 0.5 is chance.

    Raises:
        ValueError: if clips of known or of unknown classes are missing, or a score is not finite.

    Example:

    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    _check(scores, is_known)
    ranks = stats.rankdata(scores)
    count = int(is_known.sum())
    pairs = count * (len(scores) - count)
    return float((ranks[is_known].sum() - count * (count + 1) / 2) / pairs)


def fpr_at_95(scores: np.ndarray, is_known: np.ndarray) -> float:
    """Computes the share of unknown clips accepted where 95 % of the known clips are accepted.

    The threshold is the largest known score at which at least 95 % of the known clips are accepted.

    Args:
        scores: float (clips,).
        is_known: (clips,) bool.

    Returns:
        A fraction; lower is better.

    Raises:
        ValueError: if clips of known or of unknown classes are missing, or a score is not finite.

    Example:

    >>> fpr_at_95(np.array([0.9, 0.4, 0.5, 0.1]), np.array([True, True, False, False]))
    0.5
    """
    _check(scores, is_known)
    known = np.sort(scores[is_known])[::-1]
    threshold = known[int(np.ceil(ACCEPTED * len(known))) - 1]
    return float((scores[~is_known] >= threshold).mean())


def _best(
    scores: np.ndarray, correct: np.ndarray, is_known: np.ndarray, candidates: np.ndarray
) -> tuple[float, OpenSetScores]:
    found = [
        (float(candidate), open_set_scores(scores, correct, is_known, candidate))
        for candidate in candidates
    ]
    return max(found, key=lambda each: each[1].hos)


def _check(scores: np.ndarray, is_known: np.ndarray) -> None:
    if is_known.all() or not is_known.any():
        raise ValueError(
            "`is_known` must have clips of known and of unknown classes. Received: "
            f"{int(is_known.sum())} known of {len(is_known)}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("`scores` must be finite. Received: NaN or inf")
