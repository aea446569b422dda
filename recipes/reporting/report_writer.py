"""What every recipe leaves for readers: tables as Markdown, and a page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.files import atomic_file
from recipes.reporting import report
from recipes.reporting.tables import Table
from recipes.runner.seeds import Run

TABLE, PAGE = "table.md", "report.html"
SMOKE = "A smoke run: too little data and too few steps for its numbers to mean anything."
REFERENCE = (
    "Protocol “reference”: as the published code runs, which chooses the epoch on the very clips "
    "that it reports, some of them trained on. These numbers do not tell what new clips give."
)


def publish(
    out: Path,
    title: str,
    runs: Sequence[Run],
    tables: Sequence[Table],
    sections: Sequence[str] = (),
    method: str = "",
) -> str:
    """Writes `table.md` and `report.html`.

    Args:
        out: folder to write into.
        title: of the page.
        runs: finished seeds of one recipe.
        tables: what was measured, the main one first.
        sections: further parts of the page, HTML of `recipes.reporting.report.section`.
        method: how it was measured, in plain text: data, splits, protocol.

    Returns:
        The tables as text for a terminal.
    """
    write_tables(out, title, runs, tables, method)
    warnings = notices(runs[0].result)
    parts = [
        *(f"<p><b>{html.escape(notice)}</b></p>" for notice in warnings),
        *(
            report.section(
                table.title,
                table.html(),
                f'<p class="soft">{html.escape(table.note)}</p>' if table.note else "",
            )
            for table in tables
        ),
        *sections,
        report.section("What was measured, and how", *method_parts(runs, method)),
    ]
    _write(out / PAGE, report.page(title, subtitle(runs), *parts))
    return "\n\n".join([*warnings, *(f"{table.title}\n{table.text()}" for table in tables)])


def notices(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know before any number.

    Args:
        result: of a run; its `notice` says what the protocol "reference" is, where it chooses no
            epoch on the clips reported.

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
    """Writes `table.md` alone.

    Args:
        out: folder to write into.
        title: of the page.
        runs: finished seeds of one recipe.
        tables: what was measured, the main one first.
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
    """Seeds, data, date and versions in a line.

    Args:
        runs: finished seeds of one recipe.

    Returns:
        Plain text.

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


def method_parts(runs: Sequence[Run], method: str = "") -> list[str]:
    """What the section on the protocol holds: text, command, settings, versions, checksums.

    Args:
        runs: finished seeds of one recipe.
        method: plain text.

    Returns:
        HTML.
    """
    first: Mapping[str, Any] = runs[0].result
    seconds = ", ".join(report.duration(run.result["total_seconds"]) for run in runs)
    parts = [f"<p>{html.escape(method)}</p>"] if method else []
    parts += [
        f"<p>It took {seconds}. To run it again:</p>",
        f"<pre>{html.escape(first['command'])}</pre>",
        report.details("settings", first["settings"]),
        report.details("versions", first["versions"]),
    ]
    if first.get("features"):
        parts.append(report.details("checksums of the data", first["features"]))
    return parts
