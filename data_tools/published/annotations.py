"""Annotation files of published data sets: tables, lists, spans and splits, with errors by line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.constants import NUM_SEGMENTS

MAX_BYTES = 2**28
"""Of an annotation file; MSCOCO's training captions, the largest, take 92 MB."""

Span = tuple[int, int, int]
"""Class, first second, second after the last."""


def read_text(path: Path) -> str:
    """Content of a text file, in UTF-8 with or without a byte order mark.

    Args:
        path: the file.

    Returns:
        The text.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is too large or is no text.

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
        raise ValueError(f"{path} must hold at most {MAX_BYTES} bytes; received: {size}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text; reading it gave: {error}") from error


def read_lines(path: Path) -> list[str]:
    """Lines of a text file that hold anything, without blanks at their ends.

    Args:
        path: the file.

    Returns:
        The lines.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no text.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "classes.txt")
        ...     _ = path.write_text("Dog\\r\\nCar\\n\\n")
        ...     read_lines(path)
        ['Dog', 'Car']
    """
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table with a header, separated by tabs if the header has one, else by commas.

    Args:
        path: the file.
        columns: columns that it must have; others are ignored.

    Returns:
        The rows, each with these columns.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, or a row is too short or too long; the message has the
            line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.csv")
        ...     _ = path.write_text("category,video_id\\nBowling,v1\\n")
        ...     read_table(path, ["video_id", "category"])
        [{'video_id': 'v1', 'category': 'Bowling'}]
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = "\t" if "\t" in header else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(
            f"{path} must begin with the columns {list(columns)}; received: {header[:80].strip()!r}"
        )
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(
                    f"{path} must have {len(reader.fieldnames or ())} fields in each line; line "
                    f"{reader.line_num} has {'more' if None in row else 'fewer'}"
                )
            rows.append({column: row[column].strip() for column in columns})
    except csv.Error as error:
        raise ValueError(f"{path} must be a table; line {reader.line_num} gave: {error}") from error
    return rows


def read_records(path: Path, fields: Sequence[str], under: str | None = None) -> list[dict]:
    """Objects of a JSON list.

    Args:
        path: the file.
        fields: what each object must have; other fields are ignored.
        under: key of the list, if the file holds an object.

    Returns:
        The objects with these fields, as they are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no such JSON; the message has the number of the object.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.json")
        ...     _ = path.write_text('[{"video_id": "v1", "desc": "a dog", "more": 1}]')
        ...     read_records(path, ["video_id", "desc"])
        [{'video_id': 'v1', 'desc': 'a dog'}]
    """
    try:
        value: Any = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} must hold valid JSON; reading it gave: {error}") from error
    if under is not None:
        value = value.get(under) if isinstance(value, dict) else None
    if not isinstance(value, list):
        place = f"under {under!r} " if under else ""
        raise ValueError(f"{path} must hold a list {place}; received a {type(value).__name__}")
    records = []
    for number, record in enumerate(value):
        if not isinstance(record, dict) or any(field not in record for field in fields):
            raise ValueError(
                f"{path} must give {list(fields)} in each entry; entry {number} does not"
            )
        records.append({field: record[field] for field in fields})
    return records


def read_span(onset: str, offset: str, where: str) -> tuple[int, int]:
    """Whole seconds of an event: the seconds that it touches.

    Args:
        onset: its start in seconds.
        offset: its end in seconds.
        where: file and line, for the error.

    Returns:
        First second, and the second after the last; not in order if the file has them so.

    Raises:
        ValueError: one is no number, or lies outside the ten seconds.

    Example:
        >>> read_span("0", "4.5", "a.csv, line 2")
        (0, 5)
    """
    try:
        start, end = math.floor(float(onset)), math.ceil(float(offset))
    except (ValueError, OverflowError):
        start, end = -1, -1
    if not 0 <= start <= NUM_SEGMENTS or not 0 <= end <= NUM_SEGMENTS:
        raise ValueError(
            f"{where} must have seconds from 0 to {NUM_SEGMENTS}; received: {onset!r} to {offset!r}"
        )
    return start, end


def segment_labels(spans: Iterable[Span], num_classes: int) -> np.ndarray:
    """Labels of ten seconds: classes that are on, background where none is.

    Args:
        spans: class, first second, second after the last. A class is on in the union of its spans.
        num_classes: classes without the background.

    Returns:
        (10, num_classes + 1) float32 of zeros and ones.

    Example:
        >>> segment_labels([(0, 0, 2), (0, 1, 3), (1, 9, 10)], 2).argmax(-1)
        array([0, 0, 0, 2, 2, 2, 2, 2, 2, 1])
    """
    labels = np.zeros((NUM_SEGMENTS, num_classes + 1), np.float32)
    for category, start, end in spans:
        labels[start:end, category] = 1
    labels[:, -1] = labels[:, :-1].max(-1) == 0
    return labels


def hash_split(name: str, val: float = 0.1, test: float = 0.1) -> str:
    """Split of an item by a hash of its name: the same on every machine, whatever else there is.

    Args:
        name: what must not be in two splits, such as a video id.
        val: share of the validation split.
        test: share of the test split.

    Returns:
        "train", "val" or "test".

    Example:
        >>> [hash_split(name) for name in ("3063", "1234", "0002")]
        ['train', 'train', 'train']
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    return "test" if place < test else "val" if place < test + val else "train"
