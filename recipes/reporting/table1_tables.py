"""Tables of the recipe `table1`: beside the paper's columns, and every probe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from recipes.protocol import table1_protocol
from recipes.protocol.tasks import Task
from recipes.reporting import paper_tables
from recipes.reporting.tables import Table, beside_published, over_seeds

PROBES_NOTE = (
    "Continuous: features before quantisation. Constant answer: the most frequent classes of the "
    "training clips, whatever the clip. Within one modality is the upper bound."
)


def rows(task: Task, results: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """Returns the rows of Table 1: the model, and the model with TOC.

    Args:
        task: task, for its columns.
        results: results, one per seed.
        name: name of the model.

    Returns:
        Row to column to one number per seed, in per cent.
    """
    main = task.metrics[0]
    measured: dict[str, dict[str, list[float]]] = {name: {}}
    masks = table1_protocol.toc_views(results[0])
    for direction in table1_protocol.across(results[0]):
        column = task.column_of(direction)
        measured[name][column] = [
            100 * result["scores"][direction]["quantized"][main] for result in results
        ]
        if masks:
            best = [table1_protocol.chosen_view(result, direction, masks) for result in results]
            measured.setdefault(f"{name}+TOC", {})[column] = [
                100 * result["scores"][direction][view][main]
                for result, view in zip(results, best, strict=True)
            ]
    return measured


def main_table(task: Task, results: Sequence[Mapping[str, Any]], name: str, data: str) -> Table:
    """Returns the columns of a task beside the paper's.

    Args:
        task: task, for its columns.
        results: results, one per seed.
        name: name of the model.
        data: data set of the measurement.
    """
    table = beside_published(paper_tables.CROSS_MODAL, rows(task, results, name), data=data)
    if table1_protocol.toc_views(results[0]):
        return table
    absent = table1_protocol.NO_CODES.format(name)
    return dataclasses.replace(table, note=f"{table.note} {absent}")


def probe_table(results: Sequence[Mapping[str, Any]], metric: str, title: str) -> Table:
    """Returns every direction and view in one metric.

    Args:
        results: results, one per seed.
        metric: name of the metric.
        title: title of the table.

    Returns:
        The table, in per cent.
    """
    masks = table1_protocol.toc_views(results[0])
    views = {"continuous": "continuous"}
    if masks:
        views = {"codes": "quantized", **{f"TOC {kept}": kept for kept in masks}, **views}
    across = table1_protocol.across(results[0])
    within = [d for d in results[0]["scores"] if d not in across]
    measured = {
        direction: {
            **{
                heading: [100 * result["scores"][direction][view][metric] for result in results]
                for heading, view in views.items()
            },
            "constant answer": [100 * result["constant"][direction][metric] for result in results],
        }
        for direction in [*across, *within]
    }
    return over_seeds(title, "trained -> tested", measured, note=PROBES_NOTE)


def probe_tables(task: Task, results: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Returns a table of every probe for each metric of a task.

    Args:
        task: the task.
        results: results, one per seed.
    """
    return [
        probe_table(results, metric, f"{task.column}: {metric} of every probe (%)")
        for metric in task.metrics
    ]


def method(task: Task, result: Mapping[str, Any], data: str) -> str:
    """Describes how a task was measured.

    Args:
        task: the task.
        result: result of one seed.
        data: data set of the measurement.

    Returns:
        Plain text.
    """
    counts = ", ".join(f"{name} {count}" for name, count in result["clips"].items())
    missing = result["clips_unreadable"]
    parts = [
        f"Data: {data}.",
        task.stand_in_note if data != task.name else "",
        table1_protocol.describe(result["protocol"]),
        f"Clips: {counts}.",
        f"{missing} could not be read." if missing else "",
    ]
    return " ".join(part for part in parts if part)
