"""Tables of the recipe `open_set`: known and unknown classes, by score, rule and direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recipes.protocol.open_set import LEFT_OUT, QUANTILE, REFERENCE, REJECTED
from recipes.protocol.open_set_scores import SCORES
from recipes.reporting import tables
from recipes.reporting.compare_tables import FOUR, NONE

MEANING = {
    "softmax": "The score is the largest softmax probability of the probe.",
    "energy": "The score is the log of the sum of the exponentials of the probe's logits.",
    "distance": "The score is the negative distance of the clip's mean code vector to that of the "
    "training clips of the class that the probe gives.",
    "code usage": "The score is the mean over the clip's segments of the share of the training "
    "clips of the given class that use the segment's code.",
}
THRESHOLD, BOTH = "threshold", "threshold and epoch"
CHOSEN = (THRESHOLD, BOTH)
"""What the protocol "reference" chooses on the test labels."""


def heldout_epoch(model: Mapping[str, Any]) -> int:
    """Returns the epoch with the best probes on validation clips of their own modality.

    Args:
        model: what was measured of a model.

    Returns:
        Index of the epoch, from 0; the last of equally good ones.

    Example:

    >>> heldout_epoch({"epochs": [{"validation": {"audio": x}} for x in (0.5, 0.7, 0.7, 0.6)]})
    2
    """
    means = [float(np.mean(list(each["validation"].values()))) for each in model["epochs"]]
    return max(range(len(means)), key=lambda epoch: (means[epoch], epoch))


def directions(model: Mapping[str, Any]) -> list[str]:
    """Returns the directions whose mean is reported: to sound and to pictures from another.

    Args:
        model: what was measured of a model.

    Example:

    >>> directions({"epochs": [{"pairs": {"video->audio": {}, "audio->audio": {}}}]})
    ['video->audio']
    """
    return [pair for pair in FOUR if pair in model["epochs"][0]["pairs"]]


def has_score(model: Mapping[str, Any], score: str) -> bool:
    """Returns whether a model has a score; code usage needs codes.

    Args:
        model: what was measured of a model.
        score: name of the score.

    Example:

    >>> has_score({"epochs": [{"pairs": {"audio->video": {"scores": {"softmax": {}}}}}]}, "energy")
    False
    """
    return score in next(iter(model["epochs"][0]["pairs"].values()))["scores"]


def heldout(model: Mapping[str, Any], score: str, rule: str, value: str) -> float:
    """Returns the mean over directions of a number at the epoch chosen on validation clips.

    Args:
        model: what was measured of a model.
        score: name of the score.
        rule: how the threshold is chosen.
        value: "known", "unknown" or "hos".

    Returns:
        The mean, a fraction.

    Example:

    >>> found = {"scores": {"softmax": {"quantile": {"hos": 0.5}}}}
    >>> epochs = [{"validation": {"audio": 1.0}, "pairs": {"audio->video": found}}]
    >>> heldout({"epochs": epochs}, "softmax", "quantile", "hos")
    0.5
    """
    pairs = model["epochs"][heldout_epoch(model)]["pairs"]
    return float(np.mean([pairs[pair]["scores"][score][rule][value] for pair in directions(model)]))


def reference(model: Mapping[str, Any], score: str, value: str, chosen: str = BOTH) -> float:
    """Returns the mean over directions of a number chosen on the labels of the test clips.

    Args:
        model: what was measured of a model.
        score: name of the score.
        value: "known", "unknown" or "hos".
        chosen: `THRESHOLD` for the epoch chosen on validation clips, `BOTH` for that of each
            direction whose harmonic mean on the test clips is largest.

    Returns:
        The mean, a fraction.

    Example:

    >>> def epoch(hos, validation):
    ...     found = {"scores": {"softmax": {"reference": {"hos": hos}}}}
    ...     return {"validation": {"audio": validation}, "pairs": {"audio->video": found}}
    >>> model = {"epochs": [epoch(0.75, 0.1), epoch(0.5, 0.2)]}
    >>> reference(model, "softmax", "hos"), reference(model, "softmax", "hos", "threshold")
    (0.75, 0.5)
    """
    if chosen == THRESHOLD:
        return heldout(model, score, REFERENCE, value)
    best = []
    for pair in directions(model):
        found = [epoch["pairs"][pair]["scores"][score][REFERENCE] for epoch in model["epochs"]]
        best.append(max(found, key=lambda each: each["hos"])[value])
    return float(np.mean(best))


def table_of_hos(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the harmonic mean by score, thresholds chosen on validation clips.

    Args:
        results: results, one per seed.
    """

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        return {
            f"{score}{suffix}": 100 * heldout(model, score, rule, "hos")
            for rule, suffix in ((QUANTILE, ""), (LEFT_OUT, ", left-out"))
            for score in SCORES
            if has_score(model, score)
        }

    note = (
        "Harmonic mean of the accuracy on known and the recall of unknown classes, mean over "
        f"directions, protocol “heldout”. The threshold rejects {100 * REJECTED:.0f} % of the "
        "validation clips of known classes of the source modality; left-out: it is the best where "
        "each known class in turn is taken for unknown, on validation clips of the source modality."
    )
    return _table("Open set: harmonic mean (%)", results, cells, note)


def tables_by_score(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns all metrics under both protocols, a table per score.

    Args:
        results: results, one per seed.

    Returns:
        Tables, in per cent.
    """
    values = {"known": "known", "unknown": "unknown", "hos": "HOS"}
    found = []
    for score in SCORES:

        def cells(model: Mapping[str, Any], score: str = score) -> dict[str, float]:
            if not has_score(model, score):
                return {}
            row = {
                f"{title}{suffix}": 100 * heldout(model, score, rule, value)
                for rule, suffix in ((QUANTILE, ""), (LEFT_OUT, ", left-out"))
                for value, title in values.items()
            }
            for value, title in values.items():
                row[f"{title}, reference"] = 100 * reference(model, score, value)
            pairs = model["epochs"][heldout_epoch(model)]["pairs"]
            for name, title in (("auroc", "AUROC"), ("fpr", "FPR at 95 %")):
                each = [pairs[pair]["scores"][score][name] for pair in directions(model)]
                row[title] = 100 * float(np.mean(each))
            return row

        note = (
            f"{MEANING[score]} Means over directions; HOS is the mean of the directions' harmonic "
            "means. The columns of the reference choose threshold and epoch on the labels of the "
            "test clips; all others choose on validation clips of known classes of the source "
            "modality. AUROC of chance is 50; FPR: unknown clips accepted where 95 % of the known "
            "ones are, lower is better."
        )
        found.append(_table(f"Open set, {score} (%)", results, cells, note))
    return found


def tables_of_flattery(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns how much the harmonic mean gains by choosing on the test labels.

    Args:
        results: results, one per seed.

    Returns:
        A table per rule of the protocol "heldout", in points.
    """
    found = []
    titles = {QUANTILE: "quantile", LEFT_OUT: "left-out classes"}
    for rule, title in titles.items():

        def cells(model: Mapping[str, Any], rule: str = rule) -> dict[str, float]:
            return {
                f"{score}, {chosen}": 100
                * (reference(model, score, "hos", chosen) - heldout(model, score, rule, "hos"))
                for score in SCORES
                if has_score(model, score)
                for chosen in CHOSEN
            }

        note = (
            "Harmonic mean under the protocol “reference” less that under “heldout”, on the same "
            "trainings and test clips, paired by seed: the threshold alone, and threshold and "
            "epoch, chosen on the labels of the test clips instead of on validation clips of the "
            f"source modality by the rule “{title}”."
        )
        heading = f"Gain by choosing on the test labels, over {title} (points)"
        found.append(_table(heading, results, cells, note))
    return found


def table_of_directions(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns AUROC of the largest softmax by direction, and accuracy on known classes alone.

    Args:
        results: results, one per seed.
    """

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        pairs = model["epochs"][heldout_epoch(model)]["pairs"]
        row = {}
        for pair in pairs:
            source, target = pair.split("->")
            if pair in FOUR or source == target:
                row[f"{pair}, AUROC"] = 100 * pairs[pair]["scores"]["softmax"]["auroc"]
                row[f"{pair}, closed"] = 100 * pairs[pair]["closed"]
        return row

    note = (
        "AUROC of the largest softmax, and accuracy on test clips of known classes where none is "
        "rejected. Within a modality: the most that transfer to it can be expected to reach."
    )
    return _table("Open set by direction (%)", results, cells, note)


def all_tables(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns all tables of the recipe, the main one first.

    Args:
        results: results, one per seed.
    """
    return [
        table_of_hos(results),
        *tables_of_flattery(results),
        *tables_by_score(results),
        table_of_directions(results),
    ]


def method(results: Sequence[Mapping[str, Any]]) -> str:
    """Describes how the open set was measured.

    Args:
        results: results, one per seed.

    Returns:
        Sentences.

    Example:

    >>> method([{"seed": 0, "categories": ["dog", "cat", "sea"], "known": [0, 1]}])[:46]
    'Known classes, of 3: dog, cat. Encoders are tr'
    """
    names = results[0]["categories"]
    of_seeds = {", ".join(names[number] for number in result["known"]): None for result in results}
    return (
        f"Known classes, of {len(names)}: {'; '.join(of_seeds)}. Encoders are trained without "
        "labels on clips of all classes, as the published ones are; the labels of unknown classes "
        "are not read before the test. A probe is one linear layer on the mean code vector of a "
        "clip, trained on known classes of one modality. Under the protocol “heldout” its "
        "strength, the epoch of the encoder and the threshold are chosen on validation clips of "
        "known classes of that modality. Under “reference” threshold and epoch are those with the "
        "best harmonic mean on the test clips, among ten thresholds equally spaced between the "
        "smallest and the largest score; these numbers are no estimate for new clips. Test clips "
        "are the same held-out ones under both."
    )


def _table(
    title: str,
    results: Sequence[Mapping[str, Any]],
    cells: Callable[[Mapping[str, Any]], Mapping[str, float]],
    note: str,
) -> tables.Table:
    """Means and intervals over seeds of what `cells` returns for a model."""
    measured: dict[str, dict[str, list[float]]] = {}
    for name in results[0]["models"]:
        of_seeds = [cells(result["models"][name]) for result in results]
        measured[name] = {key: [row[key] for row in of_seeds] for key in of_seeds[0]}
    return tables.over_seeds(title, "model", measured, note=note, missing=NONE)
