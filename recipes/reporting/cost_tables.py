"""Tables of the recipe `efficiency`: relative to DCID, and in seconds and gigabytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recipes.reporting import paper_tables
from recipes.reporting.tables import Table, beside_published, over_seeds
from recipes.training.model_entries import class_name

YARDSTICK = "dcid"


def relative_table(results: Sequence[Mapping[str, Any]], data: str) -> Table:
    """Returns memory and time per epoch in per cent of DCID's, beside the paper's (Table 8).

    Args:
        results: results, one per seed.
        data: data set of the measurement.
    """
    kinds = {"memory": "gigabytes", "time per epoch": "step_seconds"}
    base = next(entry for entry in results[0]["gigabytes"] if entry.split(":")[0] == YARDSTICK)
    measured = {
        class_name(entry): {
            column: [100 * result[kind][entry] / result[kind][base] for result in results]
            for column, kind in kinds.items()
        }
        for entry in results[0]["gigabytes"]
    }
    return beside_published(paper_tables.COST, measured, data=data)


def absolute_table(results: Sequence[Mapping[str, Any]], batch_size: int) -> Table:
    """Returns seconds per step, gigabytes, weights and the seconds of TOC.

    Args:
        results: results, one per seed.
        batch_size: clips per step.
    """
    kinds = {
        "seconds per step": ("step_seconds", 1.0),
        "gigabytes": ("gigabytes", 1.0),
        "million weights": ("parameters", 1e-6),
        "TOC, seconds": ("toc_seconds", 1.0),
    }
    measured = {
        class_name(entry): {
            column: [scale * result[kind][entry] for result in results]
            for column, (kind, scale) in kinds.items()
            if entry in results[0][kind]
        }
        for entry in results[0]["gigabytes"]
    }
    return over_seeds(f"Training steps of {batch_size} clips", "model", measured, digits=4)


def method(settings: Mapping[str, Any]) -> str:
    """Describes how the cost was measured.

    Args:
        settings: settings of the run.

    Returns:
        Plain text.
    """
    preset = settings["preset"] or "the default one of each"
    return (
        f"Preset: {preset}. {settings['steps']} steps at a time, median of {settings['rounds']} "
        f"turns by the {settings['clock']} clock, after one turn that is not counted. Memory: the "
        "largest growth of a fresh process while it creates the model and takes two steps; on a "
        "GPU, the largest allocation there."
    )
