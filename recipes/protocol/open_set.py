"""Open-set cross-modal generalisation: probes that know some classes, tested on all of them.

A probe is trained on clips of known classes in one modality, and tested on clips of known and of
unknown classes in another, where it gives a clip a known class or rejects it as unknown.

The threshold is chosen in three ways. `QUANTILE` and `LEFT_OUT`, protocol "heldout", read
validation clips of known classes of the probe's own modality alone. `REFERENCE`, as the published
code, reads the labels of the very test clips that are reported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from recipes.protocol import open_set_metrics, open_set_scores
from recipes.protocol.clip_probes import ClipVectors, Probe, train_probe

QUANTILE, LEFT_OUT, REFERENCE = "quantile", "left-out classes", "reference"
RULES = (QUANTILE, LEFT_OUT, REFERENCE)
REJECTED = 0.05
"""Share of the validation clips of known classes that the threshold of `QUANTILE` rejects."""
PUBLISHED_KNOWN = {"ave": (14, 21), "ucf51": (17, 34), "ucf_vggsound": (8, 12)}
"""Data set to the numbers of known classes of the published splits, the first in its own order."""
ORDERS = ("listed", "random")


class OpenSetClips(NamedTuple):
    """One modality of a split."""

    codes: ClipVectors
    """Mean code vectors, of all classes."""
    shares: np.ndarray | None
    """Float (clips, codes), the share of a clip's frames that each code has; None for a model
    without codes."""

    def select(self, keep: np.ndarray) -> OpenSetClips:
        """Returns some of the clips.

        Args:
            keep: (clips,) bool.
        """
        shares = None if self.shares is None else self.shares[keep]
        return OpenSetClips(ClipVectors(*(field[keep] for field in self.codes)), shares)

    def of_classes(self, classes: np.ndarray) -> OpenSetClips:
        """Returns the clips of some classes that have the modality.

        Args:
            classes: (classes,) int.
        """
        return self.select(np.isin(self.codes.classes, classes) & self.codes.present)


def known_classes(
    data: str, num_classes: int, count: int | None = None, order: str = "listed", seed: int = 0
) -> np.ndarray:
    """Returns the classes that are known in training.

    Args:
        data: name of the data set.
        num_classes: number of all classes.
        count: number of known classes; the smaller one of the published splits if None, half of
            the classes, rounded up, where there is none.
        order: "listed" for the first classes of the data set, as published, "random" for classes
            drawn by the seed.
        seed: seed of the draw.

    Returns:
        (count,) int, ascending.

    Raises:
        ValueError: if `count` is below 2 or leaves no class unknown, or `order` is unknown.

    Example:

    >>> known_classes("natural", 7).tolist(), len(known_classes("ave", 28))
    ([0, 1, 2, 3], 14)
    >>> known_classes("natural", 7, order="random", seed=1).tolist()
    [0, 1, 4, 5]
    """
    if order not in ORDERS:
        raise ValueError(f"`order` must be one of {ORDERS}. Received: {order!r}")
    if count is None:
        count = PUBLISHED_KNOWN.get(data, (math.ceil(num_classes / 2),))[0]
    if not 2 <= count < num_classes:
        raise ValueError(
            f"--known-classes must be from 2 to {num_classes - 1}, one less than the classes of "
            f"{data}. Received: {count}"
        )
    if order == "listed":
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(num_classes)[:count])


def evaluate(
    splits: Mapping[str, Mapping[str, OpenSetClips]], known: np.ndarray, num_classes: int
) -> dict[str, Any]:
    """Trains a probe on the known classes of each modality, and tests it on every modality.

    Args:
        splits: "train", "val" and "test" to modality to clips.
        known: (known classes,) int.
        num_classes: number of all classes.

    Returns:
        `validation`, modality to accuracy of the probe on validation clips of known classes of its
        own modality; `pairs`, "source->target" to `closed`, the accuracy on known test clips none
        of which is rejected, and `scores`, score to `auroc`, `fpr` and, by rule of `RULES`,
        `threshold`, `known`, `unknown` and `hos`. Fractions.

    Raises:
        ValueError: if a split has no clips of known classes, or "test" none of unknown ones.
    """
    sources = {
        name: _Source.trained(clips, splits["val"][name], known, num_classes)
        for name, clips in splits["train"].items()
    }
    found: dict[str, Any] = {
        "validation": {name: source.probe.validation for name, source in sources.items()},
        "pairs": {},
    }
    for name, source in sources.items():
        thresholds = {
            QUANTILE: quantile_thresholds(source.scores(source.val)),
            LEFT_OUT: left_out_thresholds(source.train, source.val, num_classes),
        }
        for target, clips in splits["test"].items():
            tested = clips.select(clips.codes.present)
            found["pairs"][f"{name}->{target}"] = _tested(source, tested, known, thresholds)
    return found


def quantile_thresholds(scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the thresholds that reject `REJECTED` of the validation clips of known classes.

    Args:
        scores: score to float (clips,), of validation clips of known classes.

    Returns:
        Score to threshold.

    Example:

    >>> round(quantile_thresholds({"softmax": np.linspace(0, 1, 101)})["softmax"], 6)
    0.05
    """
    return {name: float(np.quantile(of_clips, REJECTED)) for name, of_clips in scores.items()}


def left_out_thresholds(
    train: OpenSetClips, val: OpenSetClips, num_classes: int
) -> dict[str, float]:
    """Chooses thresholds by treating one known class after another as unknown.

    For each known class a probe is trained on the others; the scores of all validation clips, those
    of the class as unknown ones, are collected. The threshold with the best harmonic mean over all
    of them is taken. All clips are of one modality and of known classes.

    Args:
        train: training clips of known classes.
        val: validation clips of known classes.
        num_classes: number of all classes.

    Returns:
        Score to threshold.

    Raises:
        ValueError: if no known class can be left out.
    """
    collected: dict[str, list[np.ndarray]] = {}
    correct, is_known = [], []
    present = np.unique(train.codes.classes)
    for left_out in present:
        others = present[present != left_out]
        rest = val.of_classes(others)
        unknown = val.codes.classes == left_out
        if not len(rest.codes.classes) or not unknown.any():
            # A small split may lack the class, or all others.
            continue
        source = _Source.trained(train, val, others, num_classes)
        for name, scores in source.scores(val).items():
            collected.setdefault(name, []).append(scores)
        correct.append(source.probe.predict(val.codes.vectors) == val.codes.classes)
        is_known.append(~unknown)
    if not is_known:
        raise ValueError(
            "validation clips must have at least 2 known classes that are trained on. Received: "
            f"{len(np.unique(val.codes.classes))}"
        )
    right, inside = np.concatenate(correct), np.concatenate(is_known)
    return {
        name: open_set_metrics.best_threshold(np.concatenate(scores), right, inside)
        for name, scores in collected.items()
    }


class _Source(NamedTuple):
    """A probe, the clips of known classes that it was trained on, and what scores need."""

    probe: Probe
    train: OpenSetClips
    val: OpenSetClips
    means: np.ndarray
    usage: np.ndarray

    @classmethod
    def trained(
        cls, train: OpenSetClips, val: OpenSetClips, known: np.ndarray, num_classes: int
    ) -> _Source:
        train, val = train.of_classes(known), val.of_classes(known)
        probe = train_probe(train.codes, val.codes, num_classes)
        classes = train.codes.classes
        usage = np.zeros((num_classes, 0))
        if train.shares is not None:
            usage = open_set_scores.class_usage(train.shares, classes, num_classes)
        means = open_set_scores.class_means(train.codes.vectors, classes, num_classes)
        return cls(probe, train, val, means, usage)

    def scores(self, clips: OpenSetClips) -> dict[str, np.ndarray]:
        return open_set_scores.knownness(
            self.probe, clips.codes.vectors, self.means, clips.shares, self.usage
        )


def _tested(
    source: _Source,
    clips: OpenSetClips,
    known: np.ndarray,
    thresholds: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """Metrics of a probe on test clips, by score and rule."""
    correct = source.probe.predict(clips.codes.vectors) == clips.codes.classes
    is_known = np.isin(clips.codes.classes, known)
    found = {}
    for name, scores in source.scores(clips).items():
        chosen = {rule: by_score[name] for rule, by_score in thresholds.items()}
        chosen[REFERENCE] = open_set_metrics.best_of_spaced_thresholds(scores, correct, is_known)[0]
        found[name] = {
            "auroc": open_set_metrics.auroc(scores, is_known),
            "fpr": open_set_metrics.fpr_at_95(scores, is_known),
            **{
                rule: {
                    "threshold": threshold,
                    **open_set_metrics.open_set_scores(
                        scores, correct, is_known, threshold
                    )._asdict(),
                }
                for rule, threshold in chosen.items()
            },
        }
    return {"closed": float(correct[is_known].mean()), "scores": found}
