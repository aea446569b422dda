"""The files of an index: a description, written last, names the others and their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_cmg.files import read_json

FORMAT = "keras_cmg.search/2"
DESCRIPTION = "index.json"


def write(
    path: str | os.PathLike[str],
    write_lists: Callable[[Path], None],
    codebook: np.ndarray,
    description: Mapping[str, Any],
) -> None:
    """Writes an index; an interruption at any moment leaves the earlier index readable.

    Args:
        path: folder, new or of an earlier state.
        write_lists: function that writes the lists into a file.
        codebook: float32 `(num_embeddings, dim)`.
        description: further entries of `index.json`.

    Raises:
        ValueError: if the folder holds something else.

    Example:

    >>> write("clips", lambda file: file.touch(), np.eye(2), {"storage": "codes", "clips": 0})
    >>> read("clips")[2]["clips"]
    0
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`path` must be a folder. Received the file {folder}.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
        raise ValueError(f"`path` must be new or hold an index. {folder} holds something else.")
    folder.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:12]
    lists, codes = folder / f"lists-{mark}.faiss", folder / f"codebook-{mark}.npy"
    temporary = folder / f"index-{mark}.part"
    try:
        write_lists(lists)
        np.save(codes, codebook, allow_pickle=False)
        files = {file.name: _sha256(file) for file in (lists, codes)}
        entries = {"format": FORMAT, **description, "lists": lists.name, "codes": codes.name}
        entries["files"] = files
        temporary.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        for file in (lists, codes, temporary):
            _to_disk(file)
        os.replace(temporary, folder / DESCRIPTION)
    except BaseException:
        for file in (lists, codes, temporary):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()  # succeeds on an empty folder only
        raise
    for pattern in ("lists-*.faiss", "codebook-*.npy", "index-*.part"):
        for file in folder.glob(pattern):
            if file.name not in files:
                file.unlink(missing_ok=True)


def read(path: str | os.PathLike[str]) -> tuple[Path, np.ndarray, dict[str, Any]]:
    """Finds the files of an index and compares them with their checksums.

    Args:
        path: folder of `write`.

    Returns:
        The file of the lists, the codebook, and the description.

    Raises:
        FileNotFoundError: if there is no index.
        ValueError: if a file is missing or damaged, naming it.

    Example:

    >>> read("no-such-index")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file no-such-index/index.json.
    """
    folder = Path(path)
    description = read_json(folder / DESCRIPTION)
    if description.get("format") != FORMAT:
        raise ValueError(
            f"{folder / DESCRIPTION} must be of the format {FORMAT!r}. "
            f"Received: {description.get('format')!r}"
        )
    missing = {"storage", "clips", "lists", "codes", "files"} - set(description)
    if missing:
        raise ValueError(
            f"{folder / DESCRIPTION} must have entries {sorted(missing)}; it is damaged."
        )
    for name, digest in description["files"].items():
        file = folder / Path(name).name
        if not file.is_file() or _sha256(file) != digest:
            raise ValueError(
                f"{file} is missing, or does not have the checksum it was written with."
            )
    codebook = np.load(folder / description["codes"], allow_pickle=False)
    return folder / description["lists"], codebook, description


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
