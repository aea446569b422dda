"""Tables and sections of the recipe `tune`: its trials, and the best settings on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recipes.reporting import charts
from recipes.reporting.page import Picture, Section, duration
from recipes.reporting.tables import Table, interval, of_texts, over_seeds
from recipes.runner.seed_runs import Run


def final_table(runs: Sequence[Run]) -> Table:
    """Returns the preset and the best settings on fresh seeds, with the paired difference.

    Args:
        runs: finished searches.
    """
    measured: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for name, results in run.result["final"].items():
            for result in results:
                for column, value in result.items():
                    measured.setdefault(name, {}).setdefault(column, []).append(100 * value)
    first, second = measured.values()
    measured["difference"] = {
        column: [b - a for a, b in zip(first[column], second[column], strict=True)]
        for column in first
    }
    mean, half = interval(measured["difference"]["across modalities"])
    verdict = (
        "Settings that are better across modalities were found"
        if mean - half > 0
        else "No settings were found that are clearly better across modalities"
    )
    return over_seeds(
        "Preset and best settings on fresh seeds",
        "settings",
        measured,
        note=f"{verdict}: the difference is paired by seed. Accuracy in per cent.",
    )


def trials_table(run: Run) -> Table:
    """Returns the trials of a search, the best first.

    Args:
        run: a finished search.
    """
    result = run.result
    preset = result["preset_values"]

    def row(trial: dict[str, Any]) -> dict[str, Any]:
        score = trial["score"]
        values = {**preset, **trial["values"]}
        names = dict.fromkeys([*preset, *trial["values"]])
        shown = {
            n: f"{values[n]:.3g}" if isinstance(values[n], float) else str(values[n]) for n in names
        }
        return {"score": "failed" if score is None else f"{100 * score:.1f}", **shown}

    rows = {
        "preset" if trial["trial"] == 0 else f"trial {trial['trial']}": row(trial)
        for trial in result["trials"]
    }
    note = (
        "Score: accuracy on validation clips of the source, in per cent, which was maximised. The "
        f"search took {duration(result['search_seconds'])}."
    )
    return of_texts(f"Trials, seed {result['seed']}", "settings", rows, note=note)


def course_section(run: Run) -> Section:
    """Returns a section with the course of a search.

    Args:
        run: a finished search.
    """
    ordered = sorted(run.result["trials"], key=lambda trial: trial["trial"])
    scores = [trial["score"] for trial in ordered]
    picture = charts.search_course(scores[1:], scores[0])
    description = "score of each trial, the best so far, and the preset's"
    return Section(f"The search, seed {run.result['seed']}", [Picture(picture, description)])
