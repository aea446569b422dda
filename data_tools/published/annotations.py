"""Records, spans, labels and splits of annotation files."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.files import reading
from data_tools.io.tables import read_text

Span = tuple[int, int, int]
"""Class, first second, second after the last."""


def read_records(path: Path, fields: Sequence[str], under: str | None = None) -> list[dict]:
    """Reads the objects of a JSON list.

    Args:
        path: the file.
        fields: what each object must have; other fields are ignored.
        under: key of the list, if the file holds an object.

    Returns:
        The objects with these fields, as they are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not such JSON; the message has the number of the object.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.json")
        ...     _ = path.write_text('[{"video_id": "v1", "desc": "a dog", "more": 1}]')
        ...     read_records(path, ["video_id", "desc"])
        [{'video_id': 'v1', 'desc': 'a dog'}]
    """
    with reading(path, "hold valid JSON"):
        value: Any = json.loads(read_text(path))
    if under is not None:
        value = value.get(under) if isinstance(value, dict) else None
    if not isinstance(value, list):
        place = f"under {under!r} " if under else ""
        raise ValueError(f"{path} must hold a list {place}. Received a {type(value).__name__}")
    records = []
    for number, record in enumerate(value):
        if not isinstance(record, dict) or any(field not in record for field in fields):
            raise ValueError(
                f"{path} must give {list(fields)} in each entry; entry {number} does not"
            )
        records.append({field: record[field] for field in fields})
    return records


def read_span(onset: str, offset: str, where: str) -> tuple[int, int]:
    """Converts the times of an event to the whole seconds that it touches.

    Args:
        onset: its start in seconds.
        offset: its end in seconds.
        where: file and line, for the error message.

    Returns:
        First second, and the second after the last; not in order if the file has them so.

    Raises:
        ValueError: if one is not a number, or is outside the ten seconds.

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
            f"{where} must have seconds from 0 to {NUM_SEGMENTS}. Received: {onset!r} to {offset!r}"
        )
    return start, end


def segment_labels(spans: Iterable[Span], num_classes: int) -> np.ndarray:
    """Makes the labels of ten seconds from spans; seconds without a class are background.

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
    """Assigns an item to a split by a hash of its name, independently of other items.

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
