"""Tables of numbers over seeds, as Markdown, as HTML and as text for a terminal."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence

from scipy import stats

from recipes.reporting.paper_tables import Published


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of cells with names, ready to be written.

    Args:
        title: plain text.
        heading: of the column of row names.
        columns: names of the columns.
        rows: name of each row and its cells, one per column.
        note: what to know about the numbers; plain text.

    Raises:
        ValueError: a row has another number of cells than there are columns.

    Example:

    >>> table = Table("Scores", "probe", ("codes",), (("a -> b", ("50.0",)),))
    >>> print(table.text())
    probe    codes
    a -> b    50.0
    """

    title: str
    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for name, cells in self.rows:
            if len(cells) != len(self.columns):
                raise ValueError(
                    f"row {name!r} of table {self.title!r} must have a cell for each of the "
                    f"{len(self.columns)} columns; received: {len(cells)}"
                )

    def markdown(self) -> str:
        """The table as Markdown, without its title.

        Example:

        >>> print(Table("t", "row", ("a", "b"), (("x", ("1", "2")),)).markdown())
        | row | a | b |
        |---|---|---|
        | x | 1 | 2 |
        """
        lines = [(self.heading, self.columns), *self.rows]
        written = [f"| {' | '.join([name, *cells])} |" for name, cells in lines]
        return "\n".join([written[0], "|---" * (len(self.columns) + 1) + "|", *written[1:]])

    def html(self) -> str:
        """The table as HTML, without its title.

        Example:

        >>> Table("t", "row", ("a",), (("x", ("1",)),)).html().count("<td>")
        2
        """
        heads = "".join(f"<th>{html.escape(name)}</th>" for name in (self.heading, *self.columns))
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in (name, *cells)) + "</tr>"
            for name, cells in self.rows
        )
        return (
            f'<div class="scroll"><table class="wide"><thead><tr>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )

    def text(self) -> str:
        """The table as aligned text, without its title.

        Example:

        >>> print(Table("t", "row", ("a",), (("longer", ("1",)),)).text())
        row      a
        longer   1
        """
        lines = [(self.heading, self.columns), *self.rows]
        first = max(len(name) for name, _ in lines)
        widths = [max(len(cells[i]) for _, cells in lines) for i in range(len(self.columns))]
        return "\n".join(
            name.ljust(first)
            + "".join(f"   {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            for name, cells in lines
        )


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval, by Student's t.

    Args:
        values: one number per seed.

    Returns:
        Mean and half-width; the half-width of a single value is NaN.

    Raises:
        ValueError: without values.

    Example:

    >>> mean, half = interval([0.9, 1.0])
    >>> round(mean, 3), round(half, 3)
    (0.95, 0.635)
    """
    if not values:
        raise ValueError("`values` must hold at least one number; received none")
    count = len(values)
    mean = sum(values) / count
    if count == 1:
        return mean, math.nan
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    return mean, float(stats.t.ppf(0.975, count - 1)) * deviation / math.sqrt(count)


def cell(values: Sequence[float], digits: int = 1) -> str:
    """Mean and interval of a number over seeds, as text.

    Args:
        values: one number per seed.
        digits: after the decimal point.

    Returns:
        Such as "55.2 ± 0.3"; "55.2" for one seed.

    Raises:
        ValueError: without values.

    Example:

    >>> cell([1.0, 1.0, 1.0]), cell([0.12345], digits=4)
    ('1.0 ± 0.0', '0.1235')
    """
    mean, half = interval(values)
    return f"{mean:.{digits}f}" if math.isnan(half) else f"{mean:.{digits}f} ± {half:.{digits}f}"


def over_seeds(
    title: str,
    heading: str,
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    digits: int = 1,
    note: str = "",
) -> Table:
    """A table of what was measured.

    Args:
        title: plain text.
        heading: of the column of row names.
        measured: row to column to one number per seed; a row may lack columns.
        digits: after the decimal point.
        note: what to know about the numbers.

    Returns:
        The table; columns in the order in which rows first name them.

    Example:

    >>> table = over_seeds("t", "probe", {"x": {"a": [1.0, 2.0]}, "y": {"b": [3.0]}})
    >>> table.columns, table.rows[1]
    (('a', 'b'), ('y', ('', '3.0')))
    """
    columns = tuple(dict.fromkeys(name for row in measured.values() for name in row))
    rows = tuple(
        (row, tuple(cell(values[name], digits) if name in values else "" for name in columns))
        for row, values in measured.items()
    )
    return Table(title, heading, columns, rows, note)


def beside_published(
    published: Published,
    measured: Mapping[str, Mapping[str, Sequence[float]]],
    digits: int = 1,
    data: str = "",
) -> Table:
    """What was measured, and below each row the same row of the paper.

    Args:
        published: table of the paper.
        measured: row to column to one number per seed, in the paper's unit. Rows and columns that
            the paper does not have are shown on their own.
        digits: after the decimal point, of what was measured; the paper's stand as printed.
        data: what was measured on, for the note.

    Returns:
        The table.

    Example:

    >>> from recipes.reporting import paper_tables as published
    >>> table = beside_published(published.CODEBOOK_SIZE, {"400": {"average": [50.0, 52.0]}})
    >>> print(table.text())
    codes                  average
    400              51.0 ± 12.7
    400, published         55.09
    """
    own = over_seeds(published.title, published.heading, measured, digits)
    columns = tuple(name for name in published.columns if name in own.columns) + tuple(
        name for name in own.columns if name not in published.columns
    )
    places = [own.columns.index(name) for name in columns]
    rows = []
    for row, cells in own.rows:
        rows.append((row, tuple(cells[place] for place in places)))
        if row in published.rows:
            values = dict(zip(published.columns, published.rows[row], strict=True))
            theirs = tuple(str(values[name]) if name in values else "" for name in columns)
            rows.append((f"{row}, published", theirs))
    note = "The published numbers are the paper's, on the paper's data"
    note += f"; ours are on {data}." if data else "."
    several = "s" if " and " in published.number else ""
    title = f"Table{several} {published.number}: {published.title} ({published.unit})"
    return Table(title, published.heading, columns, tuple(rows), note)


def of_published(published: Published) -> Table:
    """A table of the paper as it stands.

    Args:
        published: the table.

    Returns:
        The table.

    Example:

    >>> from recipes.reporting import paper_tables as published
    >>> of_published(published.CODEBOOK_SIZE).rows[0]
    ('256', ('52.75',))
    """
    rows = tuple((row, tuple(map(str, values))) for row, values in published.rows.items())
    title = f"As published: Table {published.number}, {published.title} ({published.unit})"
    return Table(title, published.heading, published.columns, rows)
