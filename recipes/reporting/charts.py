"""Charts of numbers, drawn off screen and returned as PNG files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image

from recipes.reporting.tables import Table

INK, FAINT, GRID = "#1f2933", "#52606d", "#e4e7eb"
COLOURS = ("#2563a8", "#3f9c6c", "#7bbf9a", "#b5dcc7", "#e07b39", "#a8b0b9", "#cf4a3f", "#6b4fa0")
TRAINING, VALIDATION = "#2563a8", "#e07b39"
CURVES = ("#2563a8", "#cf4a3f", "#3f9c6c", "#e07b39", "#7b5ea7", "#7b8794")
KIND_COLOURS = {"shared": "#3f9c6c", "partial": "#3b7dc4", "specific": "#cf4a3f"}
KIND_NAMES = {"shared": "every modality", "partial": "some", "specific": "one modality"}
"""Kind of a code, see `recipes.protocol.code_use.kinds`, to its colour and name in all charts."""
PALETTE, SHADES = 128, 64
"""Colours of a file, a third of the bytes of full colour; and of them those of a scale of
colours."""


def png(figure: Figure, dpi: int = 150) -> bytes:
    """Returns a figure as a PNG file.

    Args:
        figure: figure of matplotlib.
        dpi: dots per inch; screens of phones show some 150 per inch of a page.

    Returns:
        Content of the file.

    Example:

    >>> png(Figure(figsize=(1, 1)))[1:4]
    b'PNG'
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    stream = io.BytesIO()
    small = image.quantize(PALETTE, dither=Image.Dither.NONE)
    small.save(stream, "png", optimize=True, dpi=(dpi, dpi))
    return stream.getvalue()


def styled_axes(figure: Figure) -> Any:
    """Adds axes in the style of all charts.

    Args:
        figure: figure of matplotlib.

    Returns:
        The axes.

    Example:

    >>> styled_axes(Figure()).spines["top"].get_visible()
    False
    """
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def grouped_bars(table: Table, unit: str) -> bytes:
    """Draws a group of bars per row of a table, with intervals.

    Args:
        table: table of numbers; an empty cell has no bar.
        unit: unit of the numbers.

    Returns:
        Content of a PNG file.

    Example:

    >>> from recipes.reporting.tables import over_seeds
    >>> grouped_bars(over_seeds("t", "row", {"x": {"a": [1.0, 1.1]}}), "%")[1:4]
    b'PNG'
    """
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = styled_axes(figure)
    width = 0.8 / max(len(table.columns), 1)
    places = np.arange(len(table.rows))
    for number, column in enumerate(table.columns):
        reach = None
        if table.half_widths is not None and table.half_widths[column].notna().any():
            reach = table.half_widths[column].fillna(0.0).to_numpy()
        axes.bar(
            places + (number - (len(table.columns) - 1) / 2) * width,
            table.values[column].to_numpy(dtype=float),
            width * 0.92,
            yerr=reach,
            ecolor=INK,
            color=COLOURS[number % len(COLOURS)],
            label=column,
        )
    axes.set_xticks(places, table.rows, fontsize=8)
    axes.set_ylabel(unit, fontsize=8, color=FAINT)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=4, loc="upper left")
    axes.margins(y=0.3)
    return png(figure)


def epoch_lines(
    title: str,
    series: Mapping[str, Mapping[str, Sequence[float]]],
    legend: bool = False,
    unit: str = "",
) -> bytes:
    """Draws what was logged in each epoch, a line per run; validation is dashed.

    Args:
        title: title, plain text.
        series: name of a run to "training" and, if there is any, "validation" to a value per
            epoch.
        legend: whether the two kinds of line are named.
        unit: unit of the values.

    Returns:
        Content of a PNG file.

    Example:

    >>> epoch_lines("loss", {"seed 0": {"training": [2.0, 1.0], "validation": [2.0, 1.5]}})[1:4]
    b'PNG'
    """
    figure = Figure(figsize=(3.1, 2.2), layout="constrained")
    axes = styled_axes(figure)
    for number, kinds in enumerate(series.values()):
        for kind, values in kinds.items():
            axes.plot(
                range(1, len(values) + 1),
                values,
                color=COLOURS[number % len(COLOURS)],
                linestyle="--" if kind == "validation" else "-",
                # A line of few points would hardly show.
                marker="o" if len(values) < 4 else None,
                markersize=3,
                linewidth=1.2,
                label=kind if number == 0 else None,
            )
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("epoch", fontsize=8, color=FAINT)
    axes.set_ylabel(unit, fontsize=8, color=FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if legend:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return png(figure)


def similarity_map(title: str, similarity: np.ndarray, lowest: float) -> bytes:
    """Draws a matrix of cosine similarity between codes.

    Args:
        title: title, plain text.
        similarity: (codes, codes) float in [-1, 1].
        lowest: lower end of the scale of colours; the upper end is 1.

    Returns:
        Content of a PNG file.

    Example:

    >>> similarity_map("all dimensions", np.eye(3), lowest=0.0)[1:4]
    b'PNG'
    """
    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        similarity,
        vmin=lowest,
        vmax=1,
        cmap=matplotlib.colormaps["viridis"].resampled(SHADES),
        interpolation="none",
    )
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel("code", fontsize=8, color=FAINT)
    axes.set_ylabel("code", fontsize=8, color=FAINT)
    axes.tick_params(colors=FAINT, labelsize=8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label("cosine similarity", fontsize=8, color=FAINT)
    bar.ax.tick_params(colors=FAINT, labelsize=8)
    return png(figure)


def confusion_map(title: str, shares: np.ndarray, names: Sequence[str]) -> bytes:
    """Draws how often each class is taken for each other.

    Args:
        title: title, plain text.
        shares: (classes, classes) float in [0, 1]; rows are classes, columns answers.
        names: names of the classes.

    Returns:
        Content of a PNG file.

    Example:

    >>> confusion_map("audio to text", np.eye(2), ["dog", "cat"])[1:4]
    b'PNG'
    """
    size = 1.6 + 0.3 * len(names)
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        shares,
        vmin=0,
        vmax=1,
        cmap=matplotlib.colormaps["Blues"].resampled(SHADES),
        interpolation="none",
    )
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xlabel("answer of the probe", fontsize=8, color=FAINT)
    axes.set_ylabel("class of the clip (cells in %)", fontsize=8, color=FAINT)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8, color=INK)
    axes.set_yticks(range(len(names)), names, fontsize=8, color=INK)
    for row, column in np.argwhere(shares >= 0.005):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if share > 0.5 else INK,
        )
    return png(figure)


def code_use_bars(counts: np.ndarray, kinds: np.ndarray, unit: str) -> bytes:
    """Draws a bar per code in use: how often it is used, coloured by the modalities that use it.

    Args:
        counts: (codes, modalities).
        kinds: (codes,) of `recipes.protocol.code_use.kinds`.
        unit: unit of the counts.

    Returns:
        Content of a PNG file.

    Example:

    >>> kinds = np.array(["shared", "specific"])
    >>> code_use_bars(np.array([[3, 3], [0, 1]]), kinds, "clips")[1:4]
    b'PNG'
    """
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axes = styled_axes(figure)
    start = 0
    handles = []
    for name, colour in KIND_COLOURS.items():
        heights = np.sort(counts[kinds == name].sum(axis=1))[::-1]
        axes.bar(np.arange(start, start + len(heights)), heights, width=1.0, color=colour)
        start += len(heights)
        label = f"{KIND_NAMES[name]}: {len(heights)} codes"
        handles.append(Patch(color=colour, label=label))
    axes.set_xlim(-1, max(start, 1))
    axes.set_xlabel("codes in use, by kind and use", fontsize=8, color=FAINT)
    axes.set_ylabel(unit, fontsize=8, color=FAINT)
    axes.legend(handles=handles, frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    return png(figure)


def search_course(scores: Sequence[float | None], preset: float | None) -> bytes:
    """Draws the course of a search for hyperparameters.

    Args:
        scores: score of each trial, a fraction; None for one that failed.
        preset: score of the preset, a fraction; None if it failed.

    Returns:
        Content of a PNG file.

    Example:

    >>> search_course([0.5, None, 0.7], 0.6)[1:4]
    b'PNG'
    """
    figure = Figure(figsize=(5.6, 2.8), layout="constrained")
    axes = styled_axes(figure)
    values = np.array([np.nan if score is None else 100 * score for score in scores])
    numbers = np.arange(1, len(values) + 1)
    best = np.fmax.accumulate(values)
    if preset is not None:
        axes.axhline(100 * preset, color=VALIDATION, linestyle="--", linewidth=1.2, label="preset")
    axes.step(numbers, best, where="post", color=TRAINING, label="best so far")
    axes.plot(numbers, values, "o", color=TRAINING, markersize=4, alpha=0.6, label="trial")
    axes.set_xlabel("trial", fontsize=8, color=INK)
    axes.set_ylabel("source validation, %", fontsize=8, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return png(figure)


def error_curves(
    title: str,
    places: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    band: tuple[str, Sequence[float], Sequence[float]] | None = None,
) -> bytes:
    """Draws errors by share of masked dimensions, over the range of random masks.

    Args:
        title: title, plain text.
        places: shares of masked dimensions, in per cent.
        curves: name to an error per share.
        band: name, lowest and highest error per share.

    Returns:
        Content of a PNG file.

    Example:

    >>> band = ("random", [0.2, 0.1], [0.4, 0.2])
    >>> error_curves("t", [75.0, 25.0], {"TOC": [0.2, 0.1]}, band)[1:4]
    b'PNG'
    """
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    axes = styled_axes(figure)
    if band:
        name, lowest, highest = band
        axes.fill_between(places, lowest, highest, color=GRID, label=name)
    for (name, values), colour in zip(curves.items(), CURVES, strict=False):
        axes.plot(places, values, color=colour, marker="o", markersize=3, label=name, linewidth=1.3)
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.set_xlabel("masked dimensions (%)", fontsize=8, color=FAINT)
    axes.set_ylabel("MSE", fontsize=8, color=FAINT)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.legend(frameon=False, fontsize=7, labelcolor=INK)
    return png(figure)
