"""States of annotation files: their content, and whether they are the published files."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

from data_tools.io import hdf5
from data_tools.io.files import sha256_file
from data_tools.io.tables import AVE_COLUMNS, SEPARATORS, read_list, read_table, read_text
from data_tools.published.ave import ANNOTATIONS
from data_tools.published.base import PublishedDataset

CHECKSUMS = Path(__file__).with_name("checksums.json")
AS_PUBLISHED, DIFFERENT, UNKNOWN = "as published", "NOT AS PUBLISHED", "no published checksum"


@dataclasses.dataclass(frozen=True)
class FileState:
    """The state of one annotation file.

    Args:
        name: name of the file.
        needed: whether the chosen options need it.
        content: description of its content; empty if it is missing.
        sha256: its checksum; empty if it is missing.
        state: how the checksum compares with that of the published file.
    """

    name: str
    needed: bool
    content: str = ""
    sha256: str = ""
    state: str = "MISSING"

    def __str__(self) -> str:
        if not self.sha256:
            return f"{self.name}: MISSING"
        return f"{self.name}: {self.content}, sha256 {self.sha256[:12]}..., {self.state}"


def file_states(dataset: PublishedDataset) -> list[FileState]:
    """Checks the annotation files that a data set needs, and others whose checksum is known.

    Args:
        dataset: the data set.

    Returns:
        The state of each file.

    Raises:
        ValueError: if a file cannot be read.
    """
    needed = dataset.annotation_files()
    known = published_checksums().get(dataset.name, {})
    states = []
    for name in dict.fromkeys((*needed, *known)):
        if not dataset.has(name):
            states.append(FileState(name, name in needed))
            continue
        path = dataset.find(name)
        digest = sha256_file(path)
        state = UNKNOWN
        if name in known:
            state = AS_PUBLISHED if digest in known[name] else DIFFERENT
        states.append(FileState(name, name in needed, describe_content(path), digest, state))
    return states


@functools.cache
def published_checksums() -> dict[str, dict[str, tuple[str, ...]]]:
    """Reads the SHA-256 checksums of the published annotation files, by data set and name.

    Returns:
        The checksums of each file; several if it was published in several versions.
    """
    content = json.loads(CHECKSUMS.read_text(encoding="utf-8"))
    return {
        dataset: {
            name: (value,) if isinstance(value, str) else tuple(value)
            for name, value in files.items()
        }
        for dataset, files in content.items()
    }


def describe_content(path: Path) -> str:
    """Describes how much an annotation file holds.

    Args:
        path: a table, a list, an HDF5 or a JSON file.

    Returns:
        The number of its rows or lines, its arrays, or its size.

    Raises:
        ValueError: if it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.csv")
        ...     _ = path.write_text("label,prompt\\nskiing,The sound of skis\\n")
        ...     describe_content(path)
        '1 rows'
    """
    if path.suffix == ".csv":
        first = read_text(path).partition("\n")[0].strip()
        separator = next((sign for sign in SEPARATORS if sign in first), ",")
        columns: Sequence[str] = first.split(separator)
        return f"{len(read_table(path, columns))} rows"
    if path.suffix == ".txt":
        count = len(read_list(path))
        rows = (
            len(read_table(path, AVE_COLUMNS, header=None)) if path.name == ANNOTATIONS else count
        )
        return f"{rows} lines" + (" and a header" if rows < count else "")
    if path.suffix == ".h5":
        arrays = hdf5.list_arrays(path)
        return ", ".join(f"{key} {shape} {dtype}" for key, (shape, dtype) in arrays.items())
    return f"{path.stat().st_size} bytes"
