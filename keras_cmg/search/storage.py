"""The files of an index: a description, written last, names the others and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from keras_cmg.faults import reading
from keras_cmg.files import folder_lock, remove_abandoned, scratch_folder, sha256_file
from keras_cmg.records import read_record

FORMAT = "keras_cmg.search/3"
DESCRIPTION = "index.json"
MAX_CODEBOOK_BYTES = 2**32
MAX_CLIPS = 2**40
_NAMES = {"lists": re.compile(r"lists-\w+\.bin"), "codes": re.compile(r"codebook-\w+\.npy")}


class CheckedStream:
    """A file whose checksum is computed while it is read, so that what is used is what is checked.

    Args:
        stream: binary stream at its start.

    Example:

    >>> stream = CheckedStream(io.BytesIO(b"123"))
    >>> stream.read_array(3, "u1").tolist()
    [49, 50, 51]
    >>> stream.hexdigest()[:8]
    'a665a459'
    """

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._digest = hashlib.sha256()

    def read_array(self, count: int, dtype: str) -> np.ndarray:
        """Reads numbers.

        Args:
            count: int, how many.
            dtype: str, their dtype.

        Returns:
            `(count,)`.

        Raises:
            ValueError: if the file ends before them.
        """
        array = np.empty(count, dtype)
        view = array.data.cast("B") if array.nbytes else memoryview(b"")
        while len(view):
            size = self._stream.readinto(view)  # type: ignore[attr-defined]
            if not size:
                raise ValueError("it ends early")
            self._digest.update(view[:size])
            view = view[size:]
        return array

    def hexdigest(self) -> str:
        """Returns the SHA-256 of what was read."""
        return self._digest.hexdigest()


def write(
    path: str | os.PathLike[str],
    write_lists: Callable[[Path], None],
    codebook: np.ndarray,
    description: Mapping[str, Any],
) -> None:
    """Writes an index; an interruption at any moment leaves the earlier index readable.

    Several processes may write the same index: the last one replaces it as a whole. Readers see the
    earlier index or this one.

    Args:
        path: folder, new or of an earlier state.
        write_lists: function that writes the lists into a file.
        codebook: float32 `(num_embeddings, dim)`.
        description: further entries of `index.json`.

    Raises:
        OSError: if the files cannot be written.
        ValueError: if the folder holds something else.

    Example:

    >>> about = {"storage": "codes", "clips": 0, "num_embeddings": 2, "dim": 2}
    >>> write("clips", lambda file: file.touch(), np.eye(2), about)
    >>> with opened("clips") as (stream, codebook, description):
    ...     description["clips"]
    0
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`path` must be a folder. Received the file {folder}.")
    folder.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:12]
    lists, codes = f"lists-{mark}.bin", f"codebook-{mark}.npy"
    try:
        _require_index(folder)
        with scratch_folder(folder / "index") as scratch:
            write_lists(scratch / lists)
            np.save(scratch / codes, codebook, allow_pickle=False)
            files = {name: sha256_file(scratch / name) for name in (lists, codes)}
            entries = {"format": FORMAT, **description, "lists": lists, "codes": codes}
            text = json.dumps({**entries, "files": files}, indent=1) + "\n"
            (scratch / DESCRIPTION).write_text(text, encoding="utf-8")
            for name in (lists, codes, DESCRIPTION):
                _to_disk(scratch / name)
            with folder_lock(folder):
                for name in (lists, codes, DESCRIPTION):
                    os.replace(scratch / name, folder / name)
                for file in folder.iterdir():
                    known = any(pattern.fullmatch(file.name) for pattern in _NAMES.values())
                    if known and file.name not in files:
                        file.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # succeeds on an empty folder only


def _require_index(folder: Path) -> None:
    with folder_lock(folder):
        remove_abandoned(folder, ".index.")
        others = [
            file.name
            for file in folder.iterdir()
            if file.suffix != ".part"
            and not any(pattern.fullmatch(file.name) for pattern in _NAMES.values())
        ]
        if others and DESCRIPTION not in others:
            raise ValueError(f"`path` must be new or hold an index. {folder} holds something else.")


@contextlib.contextmanager
def opened(
    path: str | os.PathLike[str],
) -> Iterator[tuple[CheckedStream, np.ndarray, dict[str, Any]]]:
    """Opens the files of an index, and compares what was read with its checksums.

    Writers wait meanwhile before they remove the files.

    Args:
        path: folder of `write`.

    Yields:
        A stream of the lists, the codebook, and the description.

    Raises:
        FileNotFoundError: if there is no index.
        ValueError: if a file is missing, damaged or outside the folder, naming it.

    Example:

    >>> with opened("no-such-index"):
    ...     pass
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file no-such-index/index.json.
    """
    folder = Path(path)
    if not (folder / DESCRIPTION).is_file():
        raise FileNotFoundError(f"There is no file {folder / DESCRIPTION}.")
    with folder_lock(folder, shared=True):
        with reading(folder / DESCRIPTION, "describe an index"):
            description = _description(folder / DESCRIPTION)
        codebook = _codebook(folder / description["codes"], description)
        lists = folder / description["lists"]
        with reading(lists, "hold the lists of the index"), lists.open("rb", buffering=0) as file:
            stream = CheckedStream(file)
            yield stream, codebook, description
            if file.read(1) or stream.hexdigest() != description["files"][lists.name]:
                raise ValueError(_wrong_checksum(lists))


def _description(path: Path) -> dict[str, Any]:
    description = read_record(path, {})
    if description.get("format") != FORMAT:
        raise ValueError(
            f"{path} must be of the format {FORMAT!r}. Received: {description.get('format')!r}"
        )
    missing = {"storage", "clips", "num_embeddings", "dim", "files", *_NAMES} - set(description)
    if missing:
        raise ValueError(f"{path} must have entries {sorted(missing)}; it is damaged.")
    for key, pattern in _NAMES.items():
        name = description[key]
        if not isinstance(name, str) or not pattern.fullmatch(name):
            raise ValueError(f"{path} must name a file of the index as {key!r}. Received: {name!r}")
        if not isinstance(description["files"], dict) or name not in description["files"]:
            raise ValueError(f"{path} must have a checksum of {name}; it is damaged.")
        if not (path.parent / name).is_file() or (path.parent / name).is_symlink():
            raise ValueError(_wrong_checksum(path.parent / name))
    if type(description["clips"]) is not int or not 0 <= description["clips"] <= MAX_CLIPS:
        raise ValueError(f"{path} must count clips. Received: {description['clips']!r}")
    return description


def _codebook(path: Path, description: Mapping[str, Any]) -> np.ndarray:
    with reading(path, "hold the codebook of the index"):
        size = path.stat().st_size
        if size > MAX_CODEBOOK_BYTES:
            raise ValueError(f"{path} must have at most {MAX_CODEBOOK_BYTES} bytes")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != description["files"][path.name]:
            raise ValueError(_wrong_checksum(path))
        codebook = np.load(io.BytesIO(content), allow_pickle=False)
        if codebook.shape != (description["num_embeddings"], description["dim"]):
            raise ValueError(f"{path} must have the shape that {DESCRIPTION} gives")
        return codebook


def _wrong_checksum(path: Path) -> str:
    return f"{path} is missing, or does not have the checksum it was written with."


def _to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
