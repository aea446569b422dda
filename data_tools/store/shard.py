"""Writes one shard: rows in any order, progress that survives a kill, an atomic end.

While unfinished, a shard is the folder `NUMBER.part`: one `.npy` file per field with a slot for
each planned row, and a journal with a line for each slot that is done. A finished one is the folder
`NUMBER`: the rows that succeeded, in order, and `index.json` with checksums and failures.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.files import atomic_file, remove_abandoned
from data_tools.store import rows
from data_tools.store.schema import INDEX, Field, check_row

JOURNAL = "progress.jsonl"


def write_slot(
    part: Path, fields: Mapping[str, Field], slot: int, arrays: Mapping[str, np.ndarray]
) -> list[int]:
    """Writes one row into the files of an unfinished shard; any process may call it.

    Args:
        part: folder of the unfinished shard.
        fields: name to field.
        slot: position of the row.
        arrays: name to array of the row.

    Returns:
        Checksums in the order of the fields.

    Raises:
        ValueError: if the row does not match the fields.
    """
    check_row(fields, arrays)
    checksums = []
    for name, field in fields.items():
        values = np.ascontiguousarray(arrays[name], field.stored)
        file = rows.RowFile(part / f"{name}.npy", field, write=True)
        file.write(slot, values)
        file.close()
        checksums.append(rows.checksum(values))
    return checksums


def write_line(entry: Mapping[str, Any]) -> bytes:
    """Writes an entry of a journal as a line with its checksum.

    Args:
        entry: `slot`, and `checksums` or `failures`.

    Returns:
        The line, with its end.

    Example:
        >>> write_line({"slot": 3, "checksums": [7]})
        b'ae4c01ad {"slot": 3, "checksums": [7]}\\n'
    """
    text = json.dumps(entry).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def read_line(line: bytes) -> dict[str, Any] | None:
    """Reads a line of a journal.

    Args:
        line: the line.

    Returns:
        The entry, or None where the line does not match its checksum or is no entry.

    Example:
        >>> read_line(b'ae4c01ad {"slot": 3, "checksums": [7]}')
        {'slot': 3, 'checksums': [7]}
        >>> read_line(b'ae4c01ad {"slot": 4, "checksums": [7]}') is None
        True
    """
    try:
        if int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
        entry = json.loads(line[9:])
        whole = isinstance(entry["slot"], int) and ("failures" in entry or "checksums" in entry)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return entry if whole else None


class ShardWriter:
    """Writes the rows of one shard; resumes a shard that was begun before.

    Args:
        path: folder of the finished shard.
        fields: name to field.
        clips: what is planned for each slot: at least its `id`, and all that the index is to keep.
            The list may grow up to the capacity.
        capacity: number of slots; one for each clip if None.

    Example:
        >>> shard = ShardWriter(Path("00000"), {"audio": Field((2,))}, [{"id": "a"}, {"id": "b"}])
        >>> shard.write(1, {"audio": np.ones(2)})
        >>> shard.fail(0, [{"reason": "is silent"}])
        >>> shard.missing
        []
        >>> shard.finish()
        >>> np.load("00000/audio.npy").tolist()
        [[1.0, 1.0]]
    """

    def __init__(
        self,
        path: Path,
        fields: Mapping[str, Field],
        clips: Sequence[Mapping[str, Any]],
        capacity: int | None = None,
    ) -> None:
        self.path, self.fields, self.clips = path, dict(fields), clips
        self.capacity = len(clips) if capacity is None else capacity
        self.part = path.with_name(path.name + ".part")
        self._final = path.with_name(path.name + ".final")
        self._done: dict[int, dict[str, Any]] = {}
        shutil.rmtree(self._final, ignore_errors=True)
        if path.exists():
            shutil.rmtree(self.part, ignore_errors=True)
        elif not (self.part / INDEX).is_file():
            self._open()

    @property
    def finished(self) -> bool:
        """Whether the shard is finished."""
        return self.path.exists()

    @property
    def missing(self) -> list[int]:
        """Slots that are not written yet."""
        if self.finished or (self.part / INDEX).is_file():
            return []
        return [slot for slot in range(len(self.clips)) if slot not in self._done]

    def _open(self) -> None:
        self.part.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.part, ".")
        journal = self.part / JOURNAL
        if journal.exists():
            try:
                self._resume(journal)
                return
            except (FileNotFoundError, ValueError):
                # A file of rows is missing or damaged: the shard begins anew.
                self._done.clear()
        for name, field in self.fields.items():
            rows.create(self.part / f"{name}.npy", field, self.capacity)
        journal.write_bytes(b"")

    def _resume(self, journal: Path) -> None:
        entries = {}
        for line in journal.read_bytes().splitlines():
            # A kill or a full disk may have cut a line: that slot is done again.
            if (entry := read_line(line)) is not None and entry["slot"] in range(self.capacity):
                entries[entry["slot"]] = entry
        with contextlib.ExitStack() as stack:
            files = {
                name: stack.enter_context(
                    contextlib.closing(rows.RowFile(self.part / f"{name}.npy", field))
                )
                for name, field in self.fields.items()
            }
            for slot, entry in entries.items():
                # After a power failure the line may be there without the row.
                if "failures" in entry or self._checksums(files, slot) == entry["checksums"]:
                    self._done[slot] = entry
        with atomic_file(journal) as temporary:
            temporary.write_bytes(b"".join(map(write_line, self._done.values())))

    def _checksums(self, files: Mapping[str, rows.RowFile], slot: int) -> list[int]:
        found = []
        for name, file in files.items():
            row = np.empty((1, *self.fields[name].shape), self.fields[name].stored)
            file.read_into(slot, row)
            found.append(rows.checksum(row))
        return found

    def write(self, slot: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one row and records it in the journal.

        Raises:
            ValueError: if the row does not match the fields.
        """
        self.note(slot, write_slot(self.part, self.fields, slot, arrays))

    def note(self, slot: int, checksums: list[int]) -> None:
        """Records a row that `write_slot` wrote in the journal."""
        self._note({"slot": slot, "checksums": checksums})

    def fail(self, slot: int, failures: Sequence[Mapping[str, Any]]) -> None:
        """Records the failures of a slot without a row in the journal."""
        self._note({"slot": slot, "failures": list(failures)})

    def _note(self, entry: dict[str, Any]) -> None:
        with (self.part / JOURNAL).open("ab") as stream:
            stream.write(write_line(entry))
        self._done[entry["slot"]] = entry

    def finish(self) -> None:
        """Finishes a full shard; does nothing if it is finished.

        Raises:
            ValueError: if a slot is not written yet.
        """
        if self.finished:
            return
        if self.missing:
            raise ValueError(f"shard {self.path} must be full; {len(self.missing)} slots are not")
        if not (self.part / INDEX).is_file():
            good = [slot for slot in sorted(self._done) if "checksums" in self._done[slot]]
            if len(good) < self.capacity:
                self._finish_compact(good)
                return
            self._write_index(self.part, good)
        # The folder is complete from here on: after a kill the next call continues here.
        remove_abandoned(self.part, ".")  # left by a kill in between files
        (self.part / JOURNAL).unlink(missing_ok=True)
        os.replace(self.part, self.path)

    def _finish_compact(self, good: list[int]) -> None:
        self._final.mkdir()
        for name, field in self.fields.items():
            rows.create(self._final / f"{name}.npy", field, len(good))
            source = rows.RowFile(self.part / f"{name}.npy", field)
            target = rows.RowFile(self._final / f"{name}.npy", field, write=True)
            row = np.empty((1, *field.shape), field.stored)
            for position, slot in enumerate(good):
                source.read_into(slot, row)
                target.write(position, row)
            source.close()
            target.close()
        self._write_index(self._final, good)
        os.replace(self._final, self.path)
        shutil.rmtree(self.part)

    def _write_index(self, folder: Path, good: list[int]) -> None:
        for name in self.fields:
            with (folder / f"{name}.npy").open("rb") as stream:
                os.fsync(stream.fileno())
        checksums = [self._done[slot]["checksums"] for slot in good]
        index = {
            "rows": [dict(self.clips[slot]) for slot in good],
            "checksums": {
                name: [row[column] for row in checksums] for column, name in enumerate(self.fields)
            },
            "failures": [
                {"id": self.clips[slot]["id"], **failure}
                for slot in sorted(self._done)
                for failure in self._done[slot].get("failures", ())
            ],
        }
        with atomic_file(folder / INDEX) as temporary:
            temporary.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
