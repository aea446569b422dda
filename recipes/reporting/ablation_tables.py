"""Tables and sections of the recipe `ablation`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from recipes.protocol import table1_protocol
from recipes.protocol.tasks import TASKS
from recipes.reporting import charts, paper_tables
from recipes.reporting.page import Picture, Section
from recipes.reporting.tables import Table, beside_published, over_seeds
from recipes.training import ablation_variants

PAPER = {
    "losses": (paper_tables.LOSS_ABLATION, "toc"),
    "toc": (paper_tables.TOC_ABLATION, "toc"),
    "club": (paper_tables.CLUB_ABLATION, "codes"),
    "codebook": (paper_tables.CODEBOOK_SIZE, "codes"),
}
"""Part to the paper's table, and whether its numbers are with TOC."""


def measured_rows(
    results: Sequence[Mapping[str, Any]], part: str
) -> dict[str, dict[str, list[float]]]:
    """Returns the scores of every variant of a part, with the average over columns.

    Args:
        results: results, one per seed.
        part: "losses", "toc", "club" or "codebook".

    Returns:
        Row to column to one number per seed, in per cent; nothing for a part without variants.
    """
    kind, rows = PAPER[part][1], results[0]["parts"][part]
    if kind == "toc" and any(
        "toc" not in cell for cells in rows.values() for cell in cells.values()
    ):
        kind = "codes"
    measured = {}
    for row in rows:
        seeds = [ablation_variants.columns(result["parts"][part][row], kind) for result in results]
        measured[row] = {column: [seed[column] for seed in seeds] for column in seeds[0]}
    return measured


def all_tables(
    results: Sequence[Mapping[str, Any]], parts: Sequence[str], name: str, data: str
) -> tuple[list[Table], list[Section]]:
    """Returns a table per part beside the paper's, and a section of charts of the averages.

    Args:
        results: results, one per seed.
        parts: parts that were ablated.
        name: name of the model.
        data: data set of the measurement.
    """
    tables, pictures = [], []
    for part in parts:
        measured = measured_rows(results, part)
        if not measured:
            continue
        paper = PAPER[part][0]
        table = beside_published(paper, measured, data=data)
        tables.append(dataclasses.replace(table, title=f"{table.title}; here {name}"))
        averages = {row: {"average": cells["average"]} for row, cells in measured.items()}
        small = over_seeds(paper.title, paper.heading, averages)
        pictures.append(Picture(charts.grouped_bars(small, "%"), paper.title))
    return tables, [Section("Averages at a glance", pictures)]


def method(protocol: str) -> str:
    """Describes how the variants were measured.

    Args:
        protocol: "heldout" or "reference".

    Returns:
        Plain text.
    """
    stand_ins = " ".join(task.stand_in_note for task in TASKS.values() if task.stand_in_note)
    described = table1_protocol.describe(protocol)
    return f"Every variant is trained anew from the same seed. {described} {stand_ins}"
