"""Writes the report of a recipe: `table.md`, tables as Markdown, and `report.html`, a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.files import atomic_file
from recipes.reporting import page
from recipes.reporting.page import Command, Details, Section, TableOf, Text
from recipes.reporting.tables import Table
from recipes.runner.seed_runs import Run

TABLE, PAGE = "table.md", "report.html"
SMOKE = "A smoke run: too little data and too few steps for its numbers to mean anything."
REFERENCE = (
    "Protocol “reference”: as the published code, which chooses the epoch on the very clips that "
    "it reports, some of them training clips. These numbers are no estimate for new clips."
)


def publish(
    out: Path,
    title: str,
    runs: Sequence[Run],
    tables: Sequence[Table],
    sections: Sequence[Section] = (),
    method: str = "",
) -> str:
    """Writes `table.md` and `report.html`.

    Args:
        out: folder to write into.
        title: title of the page.
        runs: finished seeds of one recipe.
        tables: what was measured, the main table first.
        sections: further sections of the page.
        method: how it was measured, in plain text: data, splits, protocol.

    Returns:
        The tables as text for a terminal.
    """
    write_tables(out, title, runs, tables, method)
    warnings = notices(runs[0].result)
    parts = [
        Section("", [Text(notice, strong=True) for notice in warnings]),
        *(Section(table.title, [TableOf(table)]) for table in tables),
        *sections,
        Section("What was measured, and how", method_blocks(runs, method)),
    ]
    _write(out / PAGE, page.render(title, subtitle(runs), parts))
    return "\n\n".join([*warnings, *(f"{table.title}\n{table.text()}" for table in tables)])


def notices(result: Mapping[str, Any]) -> list[str]:
    """Returns what a reader must know before any number.

    Args:
        result: result of a run; its `notice` describes the protocol "reference" of a recipe that
            chooses no epoch on the clips reported.

    Returns:
        Sentences, to be set in bold.

    Example:

    >>> notices({"smoke": False, "protocol": "reference"}) == [REFERENCE]
    True
    """
    found = [SMOKE] if result["smoke"] else []
    if result.get("protocol") == "reference":
        found.append(result.get("notice", REFERENCE))
    return found


def write_tables(
    out: Path, title: str, runs: Sequence[Run], tables: Sequence[Table], method: str = ""
) -> None:
    """Writes `table.md`.

    Args:
        out: folder to write into.
        title: title of the page.
        runs: finished seeds of one recipe.
        tables: what was measured, the main table first.
        method: how it was measured, in plain text.
    """
    first = runs[0].result
    lines = [f"# {title}", *(f"**{notice}**" for notice in notices(first)), subtitle(runs)]
    lines.append(f"```bash\n{first['command']}\n```")
    for table in tables:
        lines += [f"## {table.title}", table.markdown(), *([table.note] if table.note else [])]
    if method:
        lines += ["## How it was measured", method]
    _write(out / TABLE, "\n\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def subtitle(runs: Sequence[Run]) -> str:
    """Returns seeds, data, date and versions in a line.

    Args:
        runs: finished seeds of one recipe.

    Example:

    >>> versions = {"engine": "torch", "engine_version": "2", "keras": "3", "keras_cmg": "0"}
    >>> result = {"seed": 0, "settings": {"data": "digits"}, "date": "2026-01-01"}
    >>> subtitle([Run(Path("run"), {**result, "versions": versions})])
    'digits; seed 0; 2026-01-01; torch 2, Keras 3, keras_cmg 0'
    """
    first = runs[0].result
    seeds = ", ".join(str(run.result["seed"]) for run in runs)
    interval = ", intervals of 95 % over seeds (Student's t)" if len(runs) > 1 else ""
    versions = first["versions"]
    parts = [
        first["settings"].get("data", ""),
        f"seed{'s' if len(runs) > 1 else ''} {seeds}{interval}",
        first["date"],
        f"{versions['engine']} {versions['engine_version']}, Keras {versions['keras']}, "
        f"keras_cmg {versions['keras_cmg']}",
    ]
    return "; ".join(part for part in parts if part)


def method_blocks(runs: Sequence[Run], method: str = "") -> list[Any]:
    """Returns the section on the method: text, command, settings, versions, checksums.

    Args:
        runs: finished seeds of one recipe.
        method: plain text.

    Returns:
        Blocks of a section.
    """
    first: Mapping[str, Any] = runs[0].result
    seconds = ", ".join(page.duration(run.result["total_seconds"]) for run in runs)
    blocks: list[Any] = [Text(method)] if method else []
    blocks += [
        Text(f"It took {seconds}. To run it again:"),
        Command(first["command"]),
        Details("settings", first["settings"]),
        Details("versions", first["versions"]),
    ]
    if first.get("features"):
        blocks.append(Details("checksums of the data", first["features"]))
    return blocks
