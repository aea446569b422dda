"""A table as bars, row by row."""

from __future__ import annotations

import re

import numpy as np
from matplotlib.figure import Figure

from recipes.figures import FAINT, GRID, INK, png
from recipes.tables import Table

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
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
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
