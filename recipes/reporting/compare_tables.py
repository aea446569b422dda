"""Tables of the recipe `compare`: accuracy across modalities, retrieval, cost, settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recipes.protocol.clip_retrieval import RANKS
from recipes.reporting import tables

FOUR = ("video->audio", "audio->video", "text->audio", "text->video")
VIEWS = {"codes": "codes", "toc": "codes, TOC", "continuous": "continuous features"}
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
    """Returns the accuracy of probes, a table per view of the codes.

    Args:
        results: results, one per seed.

    Returns:
        Tables, in per cent.
    """
    found = []
    chance = results[0]["chance"]
    for view, title in VIEWS.items():

        def cells(model: Mapping[str, Any], view: str = view) -> dict[str, float] | None:
            scores = model["scores"].get(view)
            if scores is None:
                return None
            return {
                **{pair: 100 * scores[pair] for pair in FOUR},
                "mean": 100 * mean_of_four(scores),
            }

        note = f"Accuracy of clips in per cent; chance is {100 * chance:.1f}."
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
                for view, suffix in (("codes", ""), ("toc", " TOC"))
                if view in model["retrieval"]
                for pairs in [model["retrieval"][view][kind]]
                for i, k in enumerate(RANKS)
            }

        note = (
            f"Mean over video and audio, text and audio, text and video, both directions; {rule}. "
            "Codes are averaged over segments and compared by cosine; ties count as expected hits."
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
            "training (s)": model["train_seconds"],
            "memory (MB)": 1000 * model["memory_gigabytes"],
            "parameters in training (M)": model["parameters"]["model"] / 1e6,
            "kept (M)": model["parameters"]["kept"] / 1e6,
        }

    note = (
        "Memory: the largest growth of the process from before the model is created to the end "
        "of training, or the largest allocation on the GPU; each model and seed has a process of "
        "its own."
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
    return [
        *tables_of_scores(results),
        *tables_of_retrieval(results),
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

    >>> settings = {"num_clips": {"train": 4, "val": 2, "test": 3}, "epochs": 1, "batch_size": 2,
    ...             "toc_channels": [8], "trials": 0}
    >>> method({"settings": settings})[:52]
    'All models: 4 training clips without labels, 1 epoch'
    """
    chosen = result["settings"]
    clips = chosen["num_clips"]
    trials = chosen["trials"]
    tuning = (
        f"Every model was tuned by {trials} trials."
        if trials
        else "Models ran with the settings below, without a search."
    )
    return (
        f"All models: {clips['train']} training clips without labels, {chosen['epochs']} epochs, "
        f"batches of {chosen['batch_size']}, {clips['test']} test clips, TOC keeps "
        f"{chosen['toc_channels'][0]} dimensions. The probe is one linear layer on codes of one "
        "modality; its epoch is chosen on validation clips of that modality, and test labels of "
        f"the other are read once. {tuning}"
    )


def _table(
    title: str,
    results: Sequence[Mapping[str, Any]],
    cells: Callable[[Mapping[str, Any]], Mapping[str, float] | None],
    note: str,
) -> tables.Table:
    """Means and intervals over seeds of what `cells` returns for a model."""
    measured: dict[str, dict[str, list[float]]] = {}
    for name in results[0]["models"]:
        of_seeds = [cells(result["models"][name]) or {} for result in results]
        measured[name] = {key: [row[key] for row in of_seeds] for key in of_seeds[0]}
    return tables.over_seeds(title, "model", measured, note=note, missing=NONE)
