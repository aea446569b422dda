"""The tables of a comparison: accuracy across modalities, retrieval, cost, settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recipes.protocol.matching import RANKS
from recipes.reporting import tables

FOUR = ("video->audio", "audio->video", "text->audio", "text->video")
VIEWS = {"codes": "codes", "toc": "codes, TOC", "continuous": "continuous features"}
NONE = "–"


def mean_of_four(scores: Mapping[str, float]) -> float:
    """Mean accuracy over the four directions that are compared.

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
    """Accuracy of probes, one table per view of the codes.

    Args:
        results: contents of `result.json`, one per seed.

    Returns:
        Tables, in per cent.
    """
    found = []
    chance = results[0]["chance"]
    for view, title in VIEWS.items():

        def cells(system: Mapping[str, Any], view: str = view) -> dict[str, float] | None:
            scores = system["scores"].get(view)
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
    """Systems whose interval reaches down to chance in one of the four directions.

    Args:
        results: contents of `result.json`, one per seed.

    Returns:
        Name and directions of each.

    Example:

    >>> scores = {"codes": {**dict.fromkeys(FOUR, 0.5), "audio->video": 0.1}}
    >>> not_above_chance([{"chance": 0.1, "systems": {"fcid": {"scores": scores}}}])
    ['fcid (audio->video)']
    """
    weak = []
    for name in results[0]["systems"]:
        pairs = []
        for pair in FOUR:
            values = [result["systems"][name]["scores"]["codes"][pair] for result in results]
            mean, half = tables.interval(values)
            # Of one seed there is no interval.
            if mean - (half if len(values) > 1 else 0) <= results[0]["chance"]:
                pairs.append(pair)
        if pairs:
            weak.append(f"{name} ({', '.join(pairs)})")
    return weak


def tables_of_retrieval(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Recall by class and by instance, the mean over pairs of modalities and both directions.

    Args:
        results: contents of `result.json`, one per seed.

    Returns:
        Tables, in per cent.
    """
    meaning = {
        "class": "any clip of the query's class is right",
        "instance": "only the very clip of the query is right",
    }
    found = []
    for kind, rule in meaning.items():

        def cells(system: Mapping[str, Any], kind: str = kind) -> dict[str, float]:
            return {
                f"R@{k}{suffix}": 100 * sum(row[i] for row in pairs.values()) / len(pairs)
                for view, suffix in (("codes", ""), ("toc", " TOC"))
                if view in system["retrieval"]
                for pairs in [system["retrieval"][view][kind]]
                for i, k in enumerate(RANKS)
            }

        note = (
            f"Mean over video and audio, text and audio, text and video, both directions; {rule}. "
            "Codes are averaged over segments and compared by cosine; ties count as expected."
        )
        found.append(_table(f"Retrieval, {kind} level (%)", results, cells, note))
    return found


def table_of_cost(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Time, memory and size.

    Args:
        results: contents of `result.json`, one per seed.

    Returns:
        The table.
    """

    def cells(system: Mapping[str, Any]) -> dict[str, float]:
        return {
            "training (s)": system["train_seconds"],
            "memory (MB)": 1000 * system["memory_gigabytes"],
            "parameters in training (M)": system["parameters"]["model"] / 1e6,
            "kept (M)": system["parameters"]["kept"] / 1e6,
        }

    note = (
        "Memory is what the process grows by, at its peak, from before the model is made to the "
        "end of training, or that of the GPU; each system and seed has a process of its own."
    )
    return _table("Time and memory", results, cells, note)


def table_of_settings(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """What each system was run with.

    Args:
        results: contents of `result.json`, one per seed.

    Returns:
        The table.
    """
    rows = []
    for entry, tuned in results[0]["tuned"].items():
        searched = tuned.get("trials")
        outcome = NONE
        if searched:
            best = 100 * searched[tuned["chosen_trial"]]["validation"]
            outcome = f"trial {tuned['chosen_trial']} of {len(searched)}: {best:.1f} %"
        changes = json.dumps(tuned["changes"]) if tuned["changes"] else "as the preset"
        rate = f"{tuned['learning_rate']:g}, {tuned['schedule']}"
        rows.append((entry, (rate, changes, outcome)))
    return tables.Table(
        "Settings",
        "system",
        ("learning rate", "arguments changed", "validation, same modality"),
        tuple(rows),
        "Chosen by the accuracy of probes on validation clips of their own modality; trial 0 is "
        "the preset as it stands.",
    )


def all_tables(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Every table of a comparison.

    Args:
        results: contents of `result.json`, one per seed.

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
    """How a comparison was measured, in plain text.

    Args:
        result: of one seed.

    Returns:
        Sentences.

    Example:

    >>> settings = {"num_clips": {"train": 4, "val": 2, "test": 3}, "epochs": 1, "batch_size": 2,
    ...             "toc_channels": 8, "trials": 0}
    >>> method({"settings": settings})[:52]
    'All systems: 4 training clips without labels, 1 epoc'
    """
    chosen = result["settings"]
    clips = chosen["num_clips"]
    trials = chosen["trials"]
    tuning = (
        f"Every system was tuned by {trials} trials."
        if trials
        else "Systems ran with the settings below, without a search."
    )
    return (
        f"All systems: {clips['train']} training clips without labels, {chosen['epochs']} epochs, "
        f"batches of {chosen['batch_size']}, {clips['test']} test clips, TOC keeps "
        f"{chosen['toc_channels']} dimensions. The probe is one linear layer on the codes of one "
        "modality; its epoch is chosen on validation clips of that modality, and test labels of "
        f"the other are read once. {tuning}"
    )


def _table(
    title: str,
    results: Sequence[Mapping[str, Any]],
    cells: Callable[[Mapping[str, Any]], Mapping[str, float] | None],
    note: str,
) -> tables.Table:
    """Mean and interval over seeds of what `cells` takes from a system's measurements."""
    measured: dict[str, dict[str, list[float]]] = {}
    for name in results[0]["systems"]:
        of_seeds = [cells(result["systems"][name]) or {} for result in results]
        measured[name] = {key: [row[key] for row in of_seeds] for key in of_seeds[0]}
    table = tables.over_seeds(title, "system", measured, note=note)
    rows = tuple((row, tuple(text or NONE for text in texts)) for row, texts in table.rows)
    return tables.Table(title, "system", table.columns, rows, note)
