"""What the recipes of Table 1 share: their options, their run, their tables and pages."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol import clips, evaluation
from recipes.protocol.evaluation import Probing
from recipes.protocol.tasks import Task
from recipes.reporting import charts, report, tables
from recipes.reporting import paper_tables as published
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training


@dataclasses.dataclass
class Settings(Probing):
    """Settings of the recipes of Table 1."""


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of a recipe of Table 1, checked."""
    return evaluation.settings_of(options, Settings())


def add_arguments(parser: argparse.ArgumentParser, task: Task) -> None:
    """Adds the options of a recipe of Table 1."""
    clips.add_arguments(parser, [task.name])
    training.add_arguments(parser)
    evaluation.add_arguments(parser)


def run(options: argparse.Namespace, out: Path, task: Task) -> None:
    """Runs a recipe of Table 1 on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
        task: which.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    encoder = pretraining.pretrained(options, chosen, source, options.seed)
    print(f"probing: {task.name}", flush=True)
    masks = evaluation.masks_of(encoder.backbone, chosen, task)
    result = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "encoder": encoder.about,
        "features": source.identity(),
        **evaluation.evaluate(task, encoder.backbone, source, chosen, options.seed, masks),
    }
    provenance.write_json(out / RESULT, result)


def rows(task: Task, results: Sequence[Mapping[str, Any]], system: str) -> dict[str, Any]:
    """Rows of Table 1: the system, and the system with TOC.

    Args:
        task: whose columns.
        results: of `evaluate`, one per seed.
        system: its name in the registry.

    Returns:
        Row to column to one number per seed, in per cent.
    """
    name, main = keras_cmg.models.get_model_class(system).__name__, task.metrics[0]
    measured: dict[str, dict[str, list[float]]] = {name: {}}
    masks = evaluation.toc_views(results[0])
    for direction in evaluation.across(results[0]):
        column = task.column_of(direction)
        measured[name][column] = [
            100 * result["scores"][direction]["quantized"][main] for result in results
        ]
        if masks:
            measured.setdefault(f"{name}+TOC", {})[column] = [
                100
                * result["scores"][direction][evaluation.chosen_view(result, direction, masks)][
                    main
                ]
                for result in results
            ]
    return measured


def all_views(
    results: Sequence[Mapping[str, Any]], metric: str, title: str, note: str = ""
) -> tables.Table:
    """Every direction and view in one metric.

    Args:
        results: of `evaluate`, one per seed.
        metric: which.
        title: of the table.
        note: what to know about it.

    Returns:
        The table, in per cent.
    """
    masks = evaluation.toc_views(results[0])
    views = {"continuous": "continuous"}
    if masks:
        views = {"codes": "quantized", **{f"TOC {kept}": kept for kept in masks}, **views}
    within = [d for d in results[0]["scores"] if d not in evaluation.across(results[0])]
    measured = {
        direction: {
            **{
                heading: [100 * result["scores"][direction][view][metric] for result in results]
                for heading, view in views.items()
            },
            "constant answer": [100 * result["constant"][direction][metric] for result in results],
        }
        for direction in [*evaluation.across(results[0]), *within]
    }
    return tables.over_seeds(title, "trained -> tested", measured, note=note)


def publish(runs: Sequence[Run], out: Path, task: Task) -> str:
    """Writes the tables and the page of a recipe of Table 1.

    Args:
        runs: finished seeds.
        out: folder to write into.
        task: which.

    Returns:
        The tables as text.
    """
    results, chosen = [run.result for run in runs], runs[0].result["settings"]
    measured = rows(task, results, chosen["system"])
    main = tables.beside_published(published.CROSS_MODAL, measured, data=chosen["data"])
    if not evaluation.toc_views(results[0]):
        absent = evaluation.NO_CODES.format(
            keras_cmg.models.get_model_class(chosen["system"]).__name__
        )
        main = dataclasses.replace(main, note=f"{main.note} {absent}")
    each = [
        all_views(
            results,
            metric,
            f"{task.column}: {metric} of every probe (%)",
            "Continuous: features before quantisation. Constant answer: the commonest classes of "
            "the training clips, whatever the clip. Within one modality is the upper bound.",
        )
        for metric in task.metrics
    ]
    stand_in = task.stand_in_note if chosen["data"] != task.name else ""
    method = " ".join(
        part
        for part in (
            f"Data: {chosen['data']}. {stand_in}".strip(),
            evaluation.HELDOUT if results[0]["protocol"] == "heldout" else evaluation.REFERENCE,
            _clips_note(results[0]),
        )
        if part
    )
    picture = report.section(
        "Probes at a glance", report.picture(charts.grouped(each[0], "%"), each[0].title)
    )
    title = f"{task.column}: cross-modal generalisation"
    return publishing.publish(out, title, runs, [main, *each], [picture], method)


def _clips_note(result: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{name} {count}" for name, count in result["clips"].items())
    missing = result["clips_unreadable"]
    return f"Clips: {counts}." + (f" {missing} could not be read." if missing else "")
