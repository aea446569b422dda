"""Text files, lists and tables, with errors that name the line."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data_tools.io.files import reading

MAX_BYTES = 2**28
"""Largest annotation file; MSCOCO's training captions have 92 MB."""
SEPARATORS = ("\t", "&", ";", ",")
"""In the order in which they are tried: names of classes contain commas."""

AVE_COLUMNS = ("category", "video_id", "quality", "start", "end")
"""Columns of AVE's `Annotations.txt`."""
SYNONYMS = {
    "category": ("category", "label", "event", "class"),
    "video_id": ("videoid", "id", "ytid", "video", "filename"),
    "quality": ("quality",),
    "start": ("start", "starttime", "onset"),
    "end": ("end", "endtime", "offset"),
}
"""Names of these columns in headers, without case and punctuation."""
LIST_HEADERS = ("category", "categories", "class", "classes", "classname", "label", "labels")
"""Headers of lists of classes."""


class Row(dict[str, str]):
    """A row of a table: column to value, with the number of its line in the file.

    Example:
        >>> row = Row({"id": "a"}, line=3)
        >>> row["id"], row.line
        ('a', 3)
    """

    def __init__(self, values: Mapping[str, str], line: int) -> None:
        super().__init__(values)
        self.line = line


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8, with or without a byte order mark.

    Args:
        path: the file.

    Returns:
        The text.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is too large or is not text.

    Example:
        >>> read_text(Path("nowhere.csv"))
        Traceback (most recent call last):
        ...
        FileNotFoundError: nowhere.csv does not exist
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{path} must hold at most {MAX_BYTES} bytes. Received: {size}")
    with reading(path, "be UTF-8 text"):
        return path.read_text(encoding="utf-8-sig")


def read_list(path: Path) -> list[str]:
    """Reads a list with one item per line. Blank lines and a header are skipped.

    Args:
        path: the file.

    Returns:
        The items, without blanks at their ends.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not text.

    Example:
        >>> _ = Path("classes.txt").write_text("Category\\r\\nDog\\r\\nCar\\n\\n")
        >>> read_list(Path("classes.txt"))
        ['Dog', 'Car']
    """
    items = [line.strip() for line in read_text(path).split("\n") if line.strip()]
    return items[1:] if items and _plain(items[0]) in LIST_HEADERS else items


def read_table(path: Path, columns: Sequence[str], header: bool | None = True) -> list[Row]:
    """Reads a table that is separated by tabs, ampersands, semicolons or commas.

    The separator is the one that gives the columns in the first line. Blank lines are skipped and
    do not count as rows. Column names are compared without case and punctuation, so that `VideoID`
    is `video_id`.

    Args:
        path: the file.
        columns: columns to read; others are ignored.
        header: whether the first line names the columns; None for a table of exactly `columns`
            that may have a header.

    Returns:
        The rows, each with these columns and its line number.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing, or a row has too few or too many fields; the message
            has the line.

    Example:
        >>> _ = Path("a.csv").write_text("category,video_id\\n\\nBowling,v1\\n")
        >>> rows = read_table(Path("a.csv"), ["video_id", "category"])
        >>> rows, rows[0].line
        ([{'video_id': 'v1', 'category': 'Bowling'}], 3)
    """
    with reading(path, "be a table"):
        return _read_table(path, columns, header)


def _read_table(path: Path, columns: Sequence[str], header: bool | None) -> list[Row]:
    text = read_text(path)
    first = next((line for line in text.split("\n") if line.strip()), "").strip("\r")
    separator, places = _layout(first, columns, header)
    if not places:
        if header is None:
            places = {column: place for place, column in enumerate(columns)}
        else:
            raise ValueError(
                f"{path} must begin with the columns {list(columns)}. Received: {first[:80]!r}"
            )
        skipped, size = 0, len(columns)
    else:
        skipped, size = 1, len(_fields(first, separator))
    # Spreadsheets quote fields; in tables with ampersands quotes are part of the names.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        strict=True,
        quoting=csv.QUOTE_NONE if separator == "&" else csv.QUOTE_MINIMAL,
    )
    rows: list[Row] = []
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if skipped:
                skipped -= 1
                continue
            if len(fields) != size:
                more = "more" if len(fields) > size else "fewer"
                raise ValueError(
                    f"{path} must have {size} fields in each line, separated by {separator!r}; "
                    f"line {reader.line_num} has {more}: {separator.join(fields)[:80]!r}"
                )
            values = {column: fields[place].strip() for column, place in places.items()}
            rows.append(Row(values, reader.line_num))
    except csv.Error as error:
        raise ValueError(f"{path} must be a table; line {reader.line_num} gave: {error}") from error
    return rows


def _layout(first: str, columns: Sequence[str], header: bool | None) -> tuple[str, dict[str, int]]:
    """Separator of a table, and the place of each column if its first line is a header."""
    for separator in SEPARATORS:
        names = [_plain(name) for name in _fields(first, separator)]
        places = {}
        for column in columns:
            known = (_plain(column), *(SYNONYMS.get(column, ()) if header is None else ()))
            found = [place for place, name in enumerate(names) if name in known]
            if found:
                places[column] = found[0]
        if len(places) == len(columns) and (header or len(names) == len(columns)):
            return separator, places
    if header is None:
        for separator in SEPARATORS:
            if len(_fields(first, separator)) == len(columns):
                return separator, {}
    return SEPARATORS[1] if header is None else SEPARATORS[-1], {}


def _fields(line: str, separator: str) -> list[str]:
    if separator == "&":
        return line.split(separator)
    return next(csv.reader([line], delimiter=separator), [])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def nearest_name(name: str, known: Collection[str]) -> str:
    """Describes an unknown name with the known name that is most similar to it.

    Args:
        name: the unknown name.
        known: known names.

    Returns:
        The name and, if there is a similar one, the known name.

    Example:
        >>> nearest_name("Dgo", ["Dog", "Cat"])
        "'Dgo' (nearest known name: 'Dog')"
        >>> nearest_name("Wolf", ["Dog", "Cat"])
        "'Wolf' (no known name is similar)"
    """
    near = difflib.get_close_matches(name, known, n=1)
    return (
        f"{name!r} (nearest known name: {near[0]!r})"
        if near
        else (f"{name!r} (no known name is similar)")
    )
