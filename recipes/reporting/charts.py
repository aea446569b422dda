"""Charts of tables and of training: bars row by row, lines epoch by epoch."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recipes.reporting.figures import FAINT, INK, png, style
from recipes.reporting.tables import Table

COLOURS = ("#2563a8", "#3f9c6c", "#7bbf9a", "#b5dcc7", "#e07b39", "#a8b0b9", "#cf4a3f", "#6b4fa0")
NUMBER = re.compile(r"(-?[\d.]+)(?: ± ([\d.]+))?")


def grouped(table: Table, unit: str) -> str:
    """Bars of every row, side by side, with their intervals.

    Args:
        table: of cells such as "55.2 ± 0.3"; empty cells have no bar.
        unit: of the numbers.

    Returns:
        Address of a picture.

    Example:

    >>> grouped(Table("t", "row", ("a", "b"), (("x", ("1.0 ± 0.1", "")),)), "%")[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = _axes(figure)
    width = 0.8 / max(len(table.columns), 1)
    places = np.arange(len(table.rows))
    for number, column in enumerate(table.columns):
        found = [NUMBER.match(cells[number]) for _, cells in table.rows]
        heights = [float(cell[1]) if cell else np.nan for cell in found]
        reach = [float(cell[2]) if cell and cell[2] else 0.0 for cell in found]
        axes.bar(
            places + (number - (len(table.columns) - 1) / 2) * width,
            heights,
            width * 0.92,
            yerr=reach if any(reach) else None,
            ecolor=INK,
            color=COLOURS[number % len(COLOURS)],
            label=column,
        )
    axes.set_xticks(places, [row for row, _ in table.rows], fontsize=8)
    axes.set_ylabel(unit, fontsize=8, color=FAINT)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=4, loc="upper left")
    axes.margins(y=0.3)
    return png(figure)


def lines(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """A small plot of what was logged in each epoch, a line per run.

    Args:
        title: plain text.
        series: name to a value per epoch; names that end in "validation" are dashed.

    Returns:
        Address of a picture.

    Example:

    >>> lines("loss", {"seed 0": [2.0, 1.0], "seed 0, validation": [2.0, 1.5]})[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(3.1, 2.0), layout="constrained")
    axes = _axes(figure)
    for number, (name, values) in enumerate(series.items()):
        axes.plot(
            range(1, len(values) + 1),
            values,
            color=COLOURS[number // 2 % len(COLOURS)],
            linestyle="--" if name.endswith("validation") else "-",
            # A line of few points would hardly show.
            marker="o" if len(values) < 4 else None,
            markersize=3,
            linewidth=1.2,
        )
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    return png(figure)


def write(path: Path, address: str) -> None:
    """Writes a picture as a file.

    Args:
        path: of the PNG file.
        address: of the picture, as the functions of this module and of `figures` give it.

    Example:

    >>> write(Path("a.png"), lines("loss", {"seed 0": [1.0]}))
    >>> Path("a.png").read_bytes()[1:4]
    b'PNG'
    """
    path.write_bytes(base64.b64decode(address.partition(",")[2]))


def _axes(figure: Figure) -> Any:
    axes = figure.add_subplot()
    style(axes)
    return axes
