"""Scores by which a clip looks like a known class: softmax, energy, distance and code usage.

All are higher for clips that look known. The last two compare the clip with training clips of the
class that the probe gives it.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from recipes.protocol.clip_probes import Probe

SOFTMAX, ENERGY, DISTANCE, USAGE = "softmax", "energy", "distance", "code usage"
SCORES = (SOFTMAX, ENERGY, DISTANCE, USAGE)


def maximum_softmax(logits: np.ndarray) -> np.ndarray:
    """Computes the largest softmax probability of each clip.

    Args:
        logits: float (clips, classes), -inf for unknown classes.

    Returns:
        Float (clips,), from 0 to 1.

    Example:

    >>> maximum_softmax(np.array([[0.0, 0.0, -np.inf]])).tolist()
    [0.5]

    References:
        Hendrycks, Gimpel, "A baseline for detecting misclassified and out-of-distribution examples
        in neural networks", ICLR 2017.
    """
    return special.softmax(logits, axis=1).max(axis=1)


def negative_energy(logits: np.ndarray) -> np.ndarray:
    """Computes the negative free energy of each clip, the log of the sum of exponentials.

    Args:
        logits: float (clips, classes), -inf for unknown classes.

    Returns:
        Float (clips,), in nats.

    Example:

    >>> negative_energy(np.array([[0.0, 0.0, -np.inf]])).round(4).tolist()
    [0.6931]

    References:
        Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020, Eq. 4, temperature
        1.
    """
    return special.logsumexp(logits, axis=1)


def class_means(vectors: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Computes the mean vector of the clips of each class.

    Args:
        vectors: float (clips, dim).
        classes: (clips,) int.
        num_classes: number of classes.

    Returns:
        Float (classes, dim); NaN for a class without clips.

    Example:

    >>> class_means(np.array([[1.0], [3.0]]), np.array([1, 1]), 2).tolist()
    [[nan], [2.0]]
    """
    means = np.full((num_classes, vectors.shape[1]), np.nan)
    for category in np.unique(classes):
        means[category] = vectors[classes == category].mean(axis=0)
    return means


def negative_distance(vectors: np.ndarray, means: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Computes the negative Euclidean distance of each clip to the mean vector of its class.

    Args:
        vectors: float (clips, dim).
        means: float (classes, dim), of `class_means`.
        answers: (clips,) int, the class that each clip is given.

    Returns:
        Float (clips,), at most 0.

    Example:

    >>> negative_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), np.array([0])).tolist()
    [-5.0]
    """
    return -np.linalg.norm(vectors - means[answers], axis=1)


def class_usage(shares: np.ndarray, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Computes the share of the clips of each class that use each code at least once.

    Args:
        shares: float (clips, codes), the share of a clip's frames that each code has.
        classes: (clips,) int.
        num_classes: number of classes.

    Returns:
        Float (classes, codes); NaN for a class without clips.

    Example:

    >>> class_usage(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), 1).tolist()
    [[1.0, 0.5]]
    """
    return class_means((shares > 0).astype(np.float64), classes, num_classes)


def code_usage(shares: np.ndarray, usage: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Computes how often training clips of a clip's class use the codes of the clip.

    It is the mean over the clip's frames (and levels of codes) of the share of the training clips
    of the class that use the frame's code.

    Args:
        shares: float (clips, codes), the share of a clip's frames that each code has.
        usage: float (classes, codes), of `class_usage`.
        answers: (clips,) int, the class that each clip is given.

    Returns:
        Float (clips,), from 0 to 1.

    Example:

    >>> code_usage(np.array([[0.25, 0.75]]), np.array([[1.0, 0.2]]), np.array([0])).round(6)
    array([0.4])
    """
    total = np.maximum(shares.sum(axis=1), np.finfo(np.float64).tiny)
    return (shares * usage[answers]).sum(axis=1) / total


def knownness(
    probe: Probe,
    vectors: np.ndarray,
    means: np.ndarray,
    shares: np.ndarray | None,
    usage: np.ndarray,
) -> dict[str, np.ndarray]:
    """Computes all scores of clips.

    Args:
        probe: trained on known classes.
        vectors: float (clips, dim), mean code vectors.
        means: float (classes, dim), of `class_means`.
        shares: float (clips, codes), the share of a clip's frames that each code has; None for a
            model without codes.
        usage: float (classes, codes), of `class_usage`; not read without codes.

    Returns:
        Score to float (clips,); no `USAGE` without codes.

    Example:

    >>> probe = Probe(np.eye(2), np.zeros(2), 1.0, 1.0)
    >>> found = knownness(probe, np.array([[1.0, 0.0]]), np.eye(2), None, np.zeros((2, 0)))
    >>> {name: score.round(3).tolist() for name, score in found.items()}
    {'softmax': [0.731], 'energy': [1.313], 'distance': [-0.0]}
    """
    logits = vectors @ probe.kernel + probe.bias
    answers = np.argmax(logits, axis=1)
    found = {
        SOFTMAX: maximum_softmax(logits),
        ENERGY: negative_energy(logits),
        DISTANCE: negative_distance(vectors, means, answers),
    }
    if shares is not None:
        found[USAGE] = code_usage(shares, usage, answers)
    return found
