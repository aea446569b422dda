"""Tables of the recipe `compare`: accuracy across modalities, retrieval, cost, settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from recipes.protocol.clip_retrieval import RANKS
from recipes.reporting import group_intervals, tables

FOUR = ("video->audio", "audio->video", "text->audio", "text->video")
OWN = ("audio->audio", "video->video", "text->text")
TOKENS = "identities, text by token"
VIEWS = {
    "codes": "code vectors",
    "identities": "code identities",
    TOKENS: "code identities, text by token",
    "toc": "code vectors, TOC",
    "toc at half": "code vectors, TOC at half the dimensions",
    "continuous": "continuous features",
}
MEANING = {
    "codes": "The probe reads the mean of a clip's code vectors.",
    "identities": "The probe reads which codes a clip uses: the share of its segments that each "
    "code has, and no vector; text has one code.",
    TOKENS: "As above, with a code per word of text.",
    "toc": "The number of dimensions is chosen on validation clips of the probe's own modality.",
    "toc at half": "As above, at half the dimensions for every model.",
    "continuous": "The probe reads the mean of the features before quantisation.",
}
NONE, PRESET = "–", "as the preset"


def mean_of_four(scores: Mapping[str, float]) -> float:
    """Returns the mean accuracy over the four directions that are compared.

    Args:
        scores: "source->target" to accuracy.

    Returns:
        The mean.

    Example:

    >>> mean_of_four(dict.fromkeys(FOUR, 0.5))
    0.5
    """
    return sum(scores[pair] for pair in FOUR) / len(FOUR)


def tables_of_scores(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns the accuracy of probes across modalities, a table per view.

    Args:
        results: results, one per seed.

    Returns:
        Tables, in per cent.
    """
    found = []
    chance = results[0]["chance"]
    for view, title in VIEWS.items():

        def cells(model: Mapping[str, Any], view: str = view) -> dict[str, float]:
            scores = model["scores"].get(view)
            if scores is None:
                return {}
            return {
                **{pair: 100 * scores[pair] for pair in FOUR},
                "mean": 100 * mean_of_four(scores),
            }

        note = f"{MEANING[view]} Accuracy of clips in per cent; chance is {100 * chance:.1f}."
        if view == "codes":
            weak = not_above_chance(results)
            note += (
                " Not clearly above chance, the interval's lower end, in some direction: "
                f"{'; '.join(weak)}."
                if weak
                else " All intervals lie above chance."
            )
        found.append(_table(f"Probes on {title} (%)", results, cells, note))
    return found


def table_of_ceilings(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the accuracy of probes within each modality, of raw features too.

    Args:
        results: results, one per seed.
    """
    columns = {"codes": "", "identities": ", identities"}

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        return {
            f"{pair.partition('->')[0]}{suffix}": 100 * model["scores"][view][pair]
            for view, suffix in columns.items()
            if view in model["scores"]
            for pair in OWN
            if pair in model["scores"][view]
        }

    raw = [{"scores": {"codes": result["raw"]}} for result in results if result.get("raw")]
    rows = {"raw features": raw} if raw else {}
    note = (
        "Trained and tested on clips of the same modality: what is left of each modality, and the "
        "most that transfer to it can be expected to reach. Raw features have no codes."
    )
    return _table("Ceilings: probes within a modality (%)", results, cells, note, first=rows)


def table_of_few_labels(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the mean accuracy of four directions by the number of labels.

    Args:
        results: results, one per seed.
    """
    views = {"codes": "vectors", "identities": "identities"}

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        found = {}
        for view, name in views.items():
            for count, scores in model["few_labels"].items():
                if view in scores:
                    found[f"{name}, {count}"] = 100 * mean_of_four(scores[view])
            if view in model["scores"]:
                found[f"{name}, all"] = 100 * mean_of_four(model["scores"][view])
        return found

    note = (
        "Mean of the four directions; columns give the labelled clips of each class that the probe "
        "is trained on, and as many validation clips that choose its strength."
    )
    return _table("Few labels (%)", results, cells, note)


def table_of_sharing(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns how far the modalities share codes.

    Args:
        results: results, one per seed.
    """

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        if "shares" not in model:
            return {}
        found = {}
        for level, suffix in (("clip", ""), ("token", ", text by token")):
            shares = model["shares"][level]
            found[f"all{suffix}"] = 100 * shares["shared"]
            found[f"one{suffix}"] = 100 * shares["specific"]
            found[f"overlap{suffix}"] = 100 * model["overlap"][level]["mean"]
        return found

    note = (
        "Test segments on codes that all modalities use, at least 5 % of the code's use each, and "
        "on codes of one modality, more than 95 %; overlap is the mean over pairs of modalities of "
        "the sum over codes of the smaller share. Every modality weighs alike."
    )
    return _table("Sharing of codes (% of segments)", results, cells, note)


def table_of_segments(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the F1 of seconds of events.

    Args:
        results: results, one per seed.
    """
    pairs = ("video->audio", "audio->video", "audio->audio", "video->video")

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        return {
            f"{pair}{suffix}": 100 * model["segments"][view][pair]
            for view, suffix in (("codes", ""), ("identities", ", identities"))
            if view in model["segments"]
            for pair in pairs
        }

    note = (
        "F1 over seconds that have a class, or are given one. The probe is trained on single "
        "segments, with the background as a class."
    )
    return _table("Seconds of events (F1, %)", results, cells, note)


def table_of_criteria(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the change by keeping half the dimensions, by criterion.

    Args:
        results: results, one per seed.
    """

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        if not model["toc"]:
            return {}
        whole = mean_of_four(model["scores"]["codes"])
        return {
            criterion: 100 * (mean_of_four(scores) - whole)
            for criterion, scores in model["toc"]["criteria"].items()
        }

    note = (
        "Mean of the four directions at half the dimensions, less that at all. paper: Eqs. 20-23; "
        "usage: codes weighed by their use in training clips; centred: as usage, less the mean "
        "code; agreement: dimensions in which the modalities of a clip correlate most; random: "
        "mean of five draws."
    )
    return _table("Half the dimensions, by criterion (points)", results, cells, note)


def tables_of_collections(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns accuracy by the collection that the recordings of test clips are from.

    Args:
        results: results, one per seed, with `collections`.

    Returns:
        A table per class whose recordings are of several collections; none where there is no such
        class.
    """
    first = results[0]
    classes = np.array(first["classes"])
    names = [" and ".join(found) for found in first["collections"].get("audio", [])]
    found = []
    for number, category in enumerate(first["categories"]):
        of_class = [name for name, each in zip(names, classes, strict=False) if each == number]
        kinds = sorted({name for name in of_class if name})
        if len(kinds) < 2:
            continue
        rows = {
            kind: np.array([n == kind and c == number for n, c in zip(names, classes, strict=True)])
            for kind in kinds
        }

        def cells(
            model: Mapping[str, Any], rows: Mapping[str, np.ndarray] = rows
        ) -> dict[str, float]:
            scores: dict[str, float] = {}
            for source in ("audio", "video", "text"):
                packed = model["correct"]["codes"].get(f"{source}->audio")
                if packed is not None:
                    right = group_intervals.unpacked(packed, len(classes))
                    scores |= {
                        f"{source}, {kind}": 100 * float(right[chosen].mean())
                        for kind, chosen in rows.items()
                    }
            return scores

        counts = ", ".join(f"{kind} {int(chosen.sum())}" for kind, chosen in rows.items())
        note = (
            f"Accuracy on the sound of test clips of {category} by the collection of the "
            f"recording; probes on code vectors of the modality in the column. Clips: {counts}."
        )
        found.append(_table(f"{category} by collection (%)", results, cells, note))
    return found


def table_of_differences(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns paired differences from the first model, with two intervals.

    Args:
        results: results, one per seed, with `groups`.
    """
    names = list(results[0]["models"])
    count = len(results[0]["classes"])
    weights = {
        modality: group_intervals.clip_weights(groups)
        for modality, groups in results[0]["groups"].items()
    }

    def correct(name: str, view: str) -> dict[str, np.ndarray]:
        return {
            pair: np.stack(
                [
                    group_intervals.unpacked(result["models"][name]["correct"][view][pair], count)
                    for result in results
                ]
            )
            for pair in FOUR
        }

    rows: dict[str, dict[str, str]] = {}
    for view, title in (("codes", "vectors"), ("identities", "identities")):
        if view not in results[0]["models"][names[0]]["correct"]:
            continue
        base = correct(names[0], view)
        drawn = group_intervals.mean_draws(base, weights)
        for name in names[1:]:
            if view not in results[0]["models"][name]["correct"]:
                continue
            other = correct(name, view)
            by_seed = [
                100
                * float(np.mean([other[pair][i].mean() - base[pair][i].mean() for pair in FOUR]))
                for i in range(len(results))
            ]
            low, high = group_intervals.percentile_interval(
                100 * (group_intervals.mean_draws(other, weights) - drawn)
            )
            row = rows.setdefault(name, {})
            row[f"{title}, over seeds"] = tables.cell(by_seed)
            row[f"{title}, by groups"] = f"{low:+.1f} to {high:+.1f}"
    note = (
        f"Mean of the four directions, less that of {names[0]}. Over seeds: mean and 95 % interval "
        "of the paired differences. By groups: 95 % interval by drawing recordings, pictures or "
        "captions of the test clips anew, since many clips are made of few of them."
    )
    title = f"Paired differences from {names[0]} (points)"
    return tables.of_texts(title, "model", rows, note=note)


def not_above_chance(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the models whose interval includes chance in one of the four directions.

    Args:
        results: results, one per seed.

    Returns:
        Name and directions of each.

    Example:

    >>> scores = {"codes": {**dict.fromkeys(FOUR, 0.5), "audio->video": 0.1}}
    >>> not_above_chance([{"chance": 0.1, "models": {"fcid": {"scores": scores}}}])
    ['fcid (audio->video)']
    """
    weak = []
    for name in results[0]["models"]:
        pairs = []
        for pair in FOUR:
            values = [result["models"][name]["scores"]["codes"][pair] for result in results]
            mean, half = tables.interval(values)
            # Of one seed there is no interval.
            if mean - (half if len(values) > 1 else 0) <= results[0]["chance"]:
                pairs.append(pair)
        if pairs:
            weak.append(f"{name} ({', '.join(pairs)})")
    return weak


def tables_of_retrieval(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns recall by class and by instance, means over pairs of modalities and directions.

    Args:
        results: results, one per seed.

    Returns:
        Tables, in per cent.
    """
    meaning = {
        "class": "any clip of the query's class is correct",
        "instance": "only the query's own clip is correct",
    }
    found = []
    for kind, rule in meaning.items():

        def cells(model: Mapping[str, Any], kind: str = kind) -> dict[str, float]:
            return {
                f"R@{k}{suffix}": 100 * sum(row[i] for row in pairs.values()) / len(pairs)
                for view, suffix in (("codes", ""), ("identities", ", identities"))
                if view in model["retrieval"]
                for pairs in [model["retrieval"][view][kind]]
                for i, k in enumerate(RANKS)
            }

        note = (
            f"Mean over video and audio, text and audio, text and video, both directions; {rule}. "
            "Vectors are compared by cosine, identities by the cosine of the roots of their "
            "shares; ties count as expected hits."
        )
        found.append(_table(f"Retrieval, {kind} level (%)", results, cells, note))
    return found


def table_of_cost(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns time, memory and size.

    Args:
        results: results, one per seed.
    """

    def cells(model: Mapping[str, Any]) -> dict[str, float]:
        return {
            "epoch": model["epoch"],
            "training (s)": model["train_seconds"],
            "memory (MB)": 1000 * model["memory_gigabytes"],
            "parameters in training (M)": model["parameters"]["model"] / 1e6,
            "kept (M)": model["parameters"]["kept"] / 1e6,
        }

    note = (
        "Training of all epochs; epoch is the one that was chosen. Memory: the largest growth of "
        "the process from before the model is created to the end of training, or the largest "
        "allocation on the GPU; each model and seed has a process of its own."
    )
    return _table("Time and memory", results, cells, note)


def table_of_settings(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns the settings of each model.

    Args:
        results: results, one per seed.
    """
    rows = {}
    for entry, tuned in results[0]["tuned"].items():
        outcome = NONE
        if tuned.get("trials"):
            score = tuned["trials"][tuned["chosen_trial"]]["validation"]
            best = NONE if score is None else f"{100 * score:.1f} %"
            outcome = f"trial {tuned['chosen_trial']} of {len(tuned['trials'])}: {best}"
        rows[entry] = {
            "learning rate": f"{tuned['learning_rate']:g}, {tuned['schedule']}",
            "arguments changed": json.dumps(tuned["arguments"]) if tuned["arguments"] else PRESET,
            "validation, same modality": outcome,
        }
    note = (
        "Chosen by the accuracy of probes on validation clips of their own modality; trial 0 is "
        "the preset."
    )
    return tables.of_texts("Settings", "model", rows, note=note)


def all_tables(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns every table of a comparison.

    Args:
        results: results, one per seed.

    Returns:
        Tables, the main one first.
    """
    several = len(results[0]["models"]) > 1
    return [
        *tables_of_scores(results),
        *([table_of_differences(results)] if several else []),
        table_of_sharing(results),
        *tables_of_collections(results),
        table_of_ceilings(results),
        table_of_few_labels(results),
        table_of_segments(results),
        *tables_of_retrieval(results),
        table_of_criteria(results),
        table_of_cost(results),
        table_of_settings(results),
    ]


def method(result: Mapping[str, Any]) -> str:
    """Describes how a comparison was measured.

    Args:
        result: result of one seed.

    Returns:
        Sentences.

    Example:

    >>> settings = {"epochs": 1, "batch_size": 2, "trials": 0}
    >>> method({"settings": settings, "num_clips": {"train": 4, "val": 2, "test": 3}})[:52]
    'All models: 4 training clips without labels, 1 epoch'
    """
    chosen = result["settings"]
    clips = result["num_clips"]
    trials = chosen["trials"]
    tuning = (
        f"Every model was tuned by {trials} trials."
        if trials
        else "Models ran with the settings below, without a search."
    )
    return (
        f"All models: {clips['train']} training clips without labels, {chosen['epochs']} epochs of "
        f"which the best is kept, batches of {chosen['batch_size']}, {clips['test']} test clips. "
        "The probe is one linear layer on a vector per clip of one modality; the epoch of the "
        "model and the strength of the probe are chosen on validation clips of that modality, and "
        f"test labels of the other are read once. {tuning}"
    )


def _table(
    title: str,
    results: Sequence[Mapping[str, Any]],
    cells: Callable[[Mapping[str, Any]], Mapping[str, float]],
    note: str,
    first: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> tables.Table:
    """Means and intervals over seeds of what `cells` returns for a model."""
    rows = {
        **(first or {}),
        **{name: [result["models"][name] for result in results] for name in results[0]["models"]},
    }
    measured: dict[str, dict[str, list[float]]] = {}
    for name, models in rows.items():
        of_seeds = [cells(model) for model in models]
        measured[name] = {key: [row[key] for row in of_seeds] for key in of_seeds[0]}
    return tables.over_seeds(title, "model", measured, note=note, missing=NONE)
