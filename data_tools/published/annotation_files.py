"""Annotation files: what is in them, and whether they are the published ones."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import h5py

from data_tools.io.files import sha256_file
from data_tools.published.annotations import read_lines, read_table, read_text
from data_tools.published.base import PublishedDataset

CHECKSUMS = Path(__file__).with_name("checksums.json")
AS_PUBLISHED, DIFFERENT, UNKNOWN = "as published", "NOT AS PUBLISHED", "no published checksum"


@dataclasses.dataclass(frozen=True)
class FileState:
    """One annotation file.

    Args:
        name: of the file.
        needed: whether the chosen options need it.
        content: what is in it; empty if it is missing.
        sha256: its checksum; empty if it is missing.
        state: how the checksum compares with the published file.
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
    """States of the annotation files of a data set: those that it needs, and others known.

    Args:
        dataset: the data set.

    Returns:
        A state for each file.

    Raises:
        ValueError: a file can't be read.
    """
    needed = dataset.annotation_files()
    known = published_checksums().get(dataset.name, {})
    states = []
    for name in dict.fromkeys((*needed, *known)):
        try:
            path = dataset.find(name)
        except FileNotFoundError:
            states.append(FileState(name, name in needed))
            continue
        digest = sha256_file(path)
        state = (
            UNKNOWN if name not in known else AS_PUBLISHED if digest == known[name] else DIFFERENT
        )
        states.append(FileState(name, name in needed, describe_content(path), digest, state))
    return states


@functools.cache
def published_checksums() -> dict[str, dict[str, str]]:
    """SHA-256 of the published annotation files, by data set and name."""
    return json.loads(CHECKSUMS.read_text(encoding="utf-8"))


def describe_content(path: Path) -> str:
    """How much is in an annotation file.

    Args:
        path: a table, a list, an HDF5 or a JSON file.

    Returns:
        Its rows, lines, arrays or bytes.

    Raises:
        ValueError: it can't be read.

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
        columns: Sequence[str] = first.split("\t" if "\t" in first else ",")
        return f"{len(read_table(path, columns))} rows"
    if path.suffix == ".txt":
        return f"{len(read_lines(path))} lines"
    if path.suffix == ".h5":
        try:
            with h5py.File(path, "r") as file:
                # Links to other files are not followed.
                own = [
                    key for key in file if isinstance(file.get(key, getlink=True), h5py.HardLink)
                ]
                arrays = {key: file[key] for key in own if isinstance(file[key], h5py.Dataset)}
                return ", ".join(f"{key} {a.shape} {a.dtype}" for key, a in arrays.items())
        except OSError as error:
            raise ValueError(f"{path} must be an HDF5 file; opening it gave: {error}") from error
    return f"{path.stat().st_size} bytes"
