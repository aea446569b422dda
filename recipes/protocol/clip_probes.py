"""Probes on one vector per clip: multinomial logistic regression, trained on one modality.

A probe is trained on vectors of one modality's clips and tested on those of another. Its strength
of regularisation is chosen on validation clips of the modality that it was trained on. Training is
convex, so that it has no seed, and takes milliseconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse weights of the L2 penalty that are tried, for vectors of unit variance."""
MAX_ITERATIONS = 200


class ClipVectors(NamedTuple):
    """One vector per clip of one modality and split."""

    vectors: np.ndarray
    """Float (clips, dim)."""
    classes: np.ndarray
    """(clips,) int."""
    present: np.ndarray
    """(clips,) bool, False for a clip without the modality."""


class Probe(NamedTuple):
    """A trained probe."""

    kernel: np.ndarray
    """(dim, classes) float."""
    bias: np.ndarray
    """(classes,) float."""
    strength: float
    """The chosen one of `STRENGTHS`."""
    validation: float
    """Accuracy on validation clips of its own modality, by which the strength was chosen."""

    def predict(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the class of each vector, (clips,) int.

        Args:
            vectors: float (clips, dim).

        Example:

        >>> probe = Probe(np.eye(2), np.zeros(2), 1.0, 1.0)
        >>> probe.predict(np.array([[0.2, 0.7]])).tolist()
        [1]
        """
        return np.argmax(vectors @ self.kernel + self.bias, axis=1)


def accuracy(probe: Probe, clips: ClipVectors) -> float:
    """Computes the accuracy on the clips that have the modality.

    Args:
        probe: trained.
        clips: to classify.

    Returns:
        A fraction; NaN if no clip has the modality.

    Example:

    >>> probe = Probe(np.eye(2), np.zeros(2), 1.0, 1.0)
    >>> accuracy(probe, ClipVectors(np.eye(2), np.array([0, 0]), np.array([True, True])))
    0.5
    """
    correct = probe.predict(clips.vectors) == clips.classes
    return float(correct[clips.present].mean()) if clips.present.any() else float("nan")


def train_probe(train: ClipVectors, val: ClipVectors, num_classes: int) -> Probe:
    """Trains a probe, and chooses its strength on validation clips of the same modality.

    Vectors are centred and divided by one number, so that the strengths mean the same for every
    model. Of equally good strengths the smallest is taken.

    Args:
        train: clips to learn on.
        val: clips to choose on.
        num_classes: number of classes.

    Returns:
        The probe.

    Raises:
        ValueError: if no clip of either has the modality, or a vector is not finite.

    Example:

    >>> clips = ClipVectors(np.eye(2), np.array([0, 1]), np.array([True, True]))
    >>> probe = train_probe(clips, clips, 3)
    >>> probe.predict(np.eye(2)).tolist(), probe.validation
    ([0, 1], 1.0)
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    for name, clips in (("train", train), ("val", val)):
        if not clips.present.any():
            raise ValueError(f"`{name}` must have a clip with the modality. Received: none")
        if not np.isfinite(clips.vectors).all():
            raise ValueError(f"vectors of `{name}` must be finite. Received: NaN or inf")
    x = train.vectors[train.present].astype(np.float64)
    y = train.classes[train.present]
    mean = x.mean(axis=0)
    scale = np.sqrt(np.mean(np.square(x - mean))) or 1.0
    # Columns that never vary keep a weight of zero: leaving them out changes nothing but the time.
    used = np.ptp(x, axis=0) > 0
    inputs = (x[:, used] - mean[used]) / scale
    known = np.unique(y)
    found: list[Probe] = []
    for strength in STRENGTHS:
        kernel = np.zeros((x.shape[1], num_classes))
        # A class without a training clip is never predicted.
        bias = np.full(num_classes, -np.inf)
        if len(known) == 1 or not used.any():
            # Nothing to tell classes apart by: the most frequent one.
            bias[known] = np.log(np.bincount(y, minlength=num_classes)[known])
        else:
            model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, tol=1e-3)
            with warnings.catch_warnings():
                # A weak penalty on separable clips needs more iterations; stopping earlier only
                # regularises more, and validation clips decide.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(inputs, y)
            two = len(known) == 2
            weights = np.vstack([-model.coef_, model.coef_]) / 2 if two else model.coef_
            offsets = np.r_[-model.intercept_, model.intercept_] / 2 if two else model.intercept_
            kernel[np.ix_(used, known)] = weights.T / scale
            bias[known] = offsets - mean @ kernel[:, known]
        probe = Probe(kernel, bias, strength, 0.0)
        found.append(probe._replace(validation=accuracy(probe, val)))
    return max(found, key=lambda probe: probe.validation)


def few_labels(clips: ClipVectors, per_class: int, seed: int) -> ClipVectors:
    """Returns the first clips of each class in a random order.

    Args:
        clips: labelled clips.
        per_class: clips of each class at most.
        seed: seed of the order.

    Returns:
        The clips, in their own order.

    Example:

    >>> clips = ClipVectors(np.eye(4), np.array([0, 0, 1, 1]), np.ones(4, bool))
    >>> few_labels(clips, 1, seed=0).classes.tolist()
    [0, 1]
    """
    order = np.random.default_rng(seed).permutation(len(clips.classes))
    chosen = []
    for category in np.unique(clips.classes):
        members = order[(clips.classes[order] == category) & clips.present[order]]
        chosen.append(members[:per_class])
    rows = np.sort(np.concatenate(chosen))
    return ClipVectors(*(field[rows] for field in clips))


def probe_pairs(
    sources: Mapping[str, tuple[ClipVectors, ClipVectors]],
    targets: Mapping[str, ClipVectors],
    num_classes: int,
) -> tuple[dict[str, Probe], dict[str, np.ndarray]]:
    """Trains a probe on each source, and tests it on every target.

    Args:
        sources: modality to training clips and validation clips.
        targets: modality to test clips.
        num_classes: number of classes.

    Returns:
        Source to probe; and "source->target" to the class that each test clip is given, (clips,)
        int, -1 for a clip without the modality.

    Example:

    >>> clips = ClipVectors(np.eye(2), np.array([0, 1]), np.array([True, True]))
    >>> probes, predicted = probe_pairs({"audio": (clips, clips)}, {"text": clips}, 2)
    >>> predicted["audio->text"].tolist()
    [0, 1]
    """
    probes = {name: train_probe(train, val, num_classes) for name, (train, val) in sources.items()}
    predicted = {
        f"{source}->{target}": np.where(clips.present, probe.predict(clips.vectors), -1)
        for source, probe in probes.items()
        for target, clips in targets.items()
    }
    return probes, predicted
