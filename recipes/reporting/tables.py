"""Tables of numbers over seeds, beside the paper's; written as Markdown, HTML and text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from scipy import stats

from recipes.reporting.paper_tables import PaperTable


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Numbers or texts by row and column; they become text only when the table is written.

    Args:
        title: title, plain text.
        heading: heading of the column of row names.
        values: a row and a column per name; numbers, texts, or NaN for an empty cell.
        half_widths: half-widths of the 95 % intervals, of the same shape, NaN where there are
            none; None for a table without intervals.
        digits: digits after the decimal point.
        printed: rows whose numbers are written as they are, such as the paper's.
        missing: text of an empty cell.
        note: explanation of the numbers, plain text.

    Example:

    >>> table = Table("Scores", "probe", pd.DataFrame({"codes": {"a -> b": 50.0}}))
    >>> print(table.text())
    probe    codes
    a -> b    50.0
    """

    title: str
    heading: str
    values: pd.DataFrame
    half_widths: pd.DataFrame | None = None
    digits: int = 1
    printed: frozenset[str] = frozenset()
    missing: str = ""
    note: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.values.columns)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(self.values.index)

    def cell(self, row: str, column: str) -> str:
        """Returns a cell as text.

        Args:
            row: name of the row.
            column: name of the column.

        Example:

        >>> over_seeds("t", "row", {"x": {"a": [1.0, 1.0]}}).cell("x", "a")
        '1.0 ± 0.0'
        """
        value: Any = self.values.loc[row, column]
        if isinstance(value, str):
            return value
        if pd.isna(value):
            return self.missing
        if row in self.printed:
            return str(value)
        half: Any = math.nan if self.half_widths is None else self.half_widths.loc[row, column]
        written = f"{value:.{self.digits}f}"
        return written if pd.isna(half) else f"{written} ± {half:.{self.digits}f}"

    def cells(self) -> list[tuple[str, list[str]]]:
        """Returns the name and the cells of each row, as text.

        Example:

        >>> over_seeds("t", "row", {"x": {"a": [1.0]}}).cells()
        [('x', ['1.0'])]
        """
        return [(row, [self.cell(row, column) for column in self.columns]) for row in self.rows]

    def markdown(self) -> str:
        """Returns the table as Markdown, without its title.

        Example:

        >>> print(over_seeds("t", "row", {"x": {"a": [1.0], "b": [2.0]}}).markdown())
        | row | a | b |
        |---|---|---|
        | x | 1.0 | 2.0 |
        """
        lines = [(self.heading, self.columns), *self.cells()]
        written = [f"| {' | '.join([name, *cells])} |" for name, cells in lines]
        return "\n".join([written[0], "|---" * (len(self.columns) + 1) + "|", *written[1:]])

    def text(self) -> str:
        """Returns the table as aligned text, without its title.

        Example:

        >>> print(over_seeds("t", "row", {"longer": {"a": [1.0]}}).text())
        row        a
        longer   1.0
        """
        lines: list[tuple[str, Sequence[str]]] = [(self.heading, self.columns), *self.cells()]
        first = max(len(name) for name, _ in lines)
        widths = [max(len(cells[i]) for _, cells in lines) for i in range(len(self.columns))]
        return "\n".join(
            name.ljust(first)
            + "".join(f"   {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            for name, cells in lines
        )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Computes the mean and the half-width of its 95 % interval, by Student's t.

    Args:
        values: one number per seed; for a paired difference, the differences.

    Returns:
        Mean and half-width; the half-width of a single value is NaN.

    Raises:
        ValueError: if there are no values.

    Example:

    >>> mean, half = interval([0.9, 1.0])
    >>> round(mean, 3), round(half, 3)
    (0.95, 0.635)
    """
    if not values:
        raise ValueError("`values` must hold at least one number. Received: none")
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return mean, quantile * float(stats.sem(values))


def cell(values: Sequence[float], digits: int = 1) -> str:
    """Returns the mean and the interval of a number over seeds as text.

    Args:
        values: one number per seed.
        digits: digits after the decimal point.

    Example:

    >>> cell([1.0, 1.0, 1.0]), cell([0.12345], digits=4)
    ('1.0 ± 0.0', '0.1235')
    """
    return over_seeds("", "", {"row": {"column": values}}, digits).cell("row", "column")


def over_seeds(
    title: str,
    heading: str,
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    digits: int = 1,
    note: str = "",
    missing: str = "",
) -> Table:
    """Returns a table of means and intervals over seeds.

    Args:
        title: title, plain text.
        heading: heading of the column of row names.
        measured: row to column to one number per seed; a row may lack columns.
        digits: digits after the decimal point.
        note: explanation of the numbers.
        missing: text of an empty cell.

    Returns:
        The table; columns in the order in which rows first name them.

    Example:

    >>> table = over_seeds("t", "probe", {"x": {"a": [1.0, 2.0]}, "y": {"b": [3.0]}})
    >>> table.columns, table.cells()[1]
    (('a', 'b'), ('y', ['', '3.0']))
    """
    found = {
        row: {name: interval(numbers) for name, numbers in cells.items()}
        for row, cells in measured.items()
    }
    columns = list(dict.fromkeys(name for cells in measured.values() for name in cells))
    frames = [
        pd.DataFrame(
            {
                row: {name: pair[part] for name, pair in cells.items()}
                for row, cells in found.items()
            },
            index=columns,
            columns=list(measured),
            dtype=float,
        ).T
        for part in (0, 1)
    ]
    return Table(title, heading, frames[0], frames[1], digits, missing=missing, note=note)


def of_texts(
    title: str, heading: str, rows: Mapping[str, Mapping[str, Any]], digits: int = 1, note: str = ""
) -> Table:
    """Returns a table of texts and single numbers.

    Args:
        title: title, plain text.
        heading: heading of the column of row names.
        rows: row to column to a text or a number.
        digits: digits after the decimal point.
        note: explanation of the cells.

    Example:

    >>> of_texts("t", "row", {"x": {"a": "text", "b": 1.25}}, digits=2).cells()
    [('x', ['text', '1.25'])]
    """
    frame = pd.DataFrame.from_dict(
        {row: dict(cells) for row, cells in rows.items()},
        orient="index",
        dtype=object,
    )
    columns = list(dict.fromkeys(name for cells in rows.values() for name in cells))
    return Table(
        title, heading, frame.reindex(index=list(rows), columns=columns), None, digits, note=note
    )


def beside_published(
    published: PaperTable,
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    digits: int = 1,
    data: str = "",
) -> Table:
    """Returns what was measured, with the paper's row below each row of the same name.

    Args:
        published: table of the paper.
        measured: row to column to one number per seed, in the paper's unit; rows and columns that
            the paper does not have stand alone.
        digits: digits after the decimal point of what was measured; the paper's numbers are
            written as printed.
        data: name of the data of the measurement, for the note.

    Example:

    >>> from recipes.reporting import paper_tables
    >>> measured = {"400": {"average": [50.0, 52.0]}}
    >>> print(beside_published(paper_tables.CODEBOOK_SIZE, measured).text())
    codes                  average
    400                51.0 ± 12.7
    400, published           55.09
    """
    own = over_seeds(published.title, published.heading, measured, digits)
    columns = [name for name in published.columns if name in own.columns]
    columns += [name for name in own.columns if name not in published.columns]
    theirs = published_values(published)
    values, halves, printed = [], [], set()
    for row in own.rows:
        values.append(own.values.loc[[row]])
        halves.append(own.half_widths.loc[[row]])  # type: ignore[union-attr]
        if row in theirs.index:
            name = f"{row}, published"
            printed.add(name)
            values.append(theirs.loc[[row]].rename(index={row: name}))
    frame = pd.concat([part.reindex(columns=columns) for part in values])
    half = pd.concat([part.reindex(columns=columns) for part in halves]).reindex(frame.index)
    note = "The published numbers are the paper's, on the paper's data"
    note += f"; ours are on {data}." if data else "."
    several = "s" if " and " in published.number else ""
    title = f"Table{several} {published.number}: {published.title} ({published.unit})"
    return Table(title, published.heading, frame, half, digits, frozenset(printed), note=note)


def published_values(published: PaperTable) -> pd.DataFrame:
    """Returns the numbers of a table of the paper.

    Args:
        published: table of the paper.

    Example:

    >>> from recipes.reporting import paper_tables
    >>> float(published_values(paper_tables.CODEBOOK_SIZE).loc["400", "average"])
    55.09
    """
    return pd.DataFrame.from_dict(
        {row: list(numbers) for row, numbers in published.rows.items()},
        orient="index",
        columns=list(published.columns),
        # Integers stay integers, to be written as printed.
        dtype=object,
    )


def of_published(published: PaperTable) -> Table:
    """Returns a table of the paper as printed.

    Args:
        published: table of the paper.

    Example:

    >>> from recipes.reporting import paper_tables
    >>> of_published(paper_tables.CODEBOOK_SIZE).cells()[0]
    ('256', ['52.75'])
    """
    title = f"As published: Table {published.number}, {published.title} ({published.unit})"
    frame = published_values(published)
    return Table(title, published.heading, frame, printed=frozenset(frame.index))
