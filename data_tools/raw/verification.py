"""Verifies a feature folder: checksums, counts, shapes, values, disjoint splits."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from data_tools.io import feature_folder as layout
from data_tools.io.constants import SPLITS
from data_tools.io.files import sha256_file, shorten
from data_tools.raw.rendering import read_clips

CHUNK = 256


def verify(root: str | os.PathLike[str]) -> list[str]:
    """Verifies a feature folder.

    Args:
        root: the folder.

    Returns:
        What was found in order, one line per check.

    Raises:
        FileNotFoundError: if the folder or a file of it is missing.
        ValueError: if something is wrong; the message names the file and the rule.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     verify(path)[-1]
        'splits: train 5, no clip and no raw material in two of them'
    """
    folder = layout.FeatureFolder(root)
    try:
        return list(_checks(folder))
    finally:
        folder.close()


def _checks(folder: layout.FeatureFolder) -> Iterator[str]:
    files = folder.listed_files()
    for name, digest in files.items():
        path = folder.root / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} must exist, as {layout.MANIFEST} lists it")
        found = sha256_file(path)
        if found != digest:
            raise ValueError(f"{path} must have sha256 {digest}. Received: {found}")
    yield f"checksums: {len(files)} files as written"

    clips = read_clips(folder)
    for kind in layout.FILES:
        array = folder.array(kind)
        if len(array) != len(clips):
            raise ValueError(
                f"{array.path} must have a row for each of the {len(clips)} clips. "
                f"Received: {len(array)}"
            )
        for start in range(0, len(array), CHUNK):
            values = folder.read(kind, np.arange(start, min(start + CHUNK, len(array))))
            if kind == "labels":
                _check_labels(folder, values, start)
        yield f"{kind}: {array.shape} finite numbers"

    owners: dict[str, str] = {}
    counts = {}
    for split in SPLITS:
        if not (folder.root / layout.order_file(split)).is_file():
            continue
        rows = folder.order(split)
        counts[split] = len(np.unique(rows))
        for row in rows.tolist():
            clip = clips[row]
            material = {f"{kind} {name}" for kind, names in clip.sources.items() for name in names}
            for item in {f"row {row}", f"clip {clip.id}", *material}:
                if owners.setdefault(item, split) != split:
                    raise ValueError(
                        f"splits of {folder.root} must share nothing; {shorten(item, 200)} is in "
                        f"{owners[item]!r} and in {split!r}"
                    )
    if sum(counts.values()) != len(clips):
        raise ValueError(
            f"splits of {folder.root} must hold each of the {len(clips)} clips once. "
            f"Received: {counts}"
        )
    summary = ", ".join(f"{split} {count}" for split, count in counts.items())
    yield f"splits: {summary}, no clip and no raw material in two of them"


def _check_labels(folder: layout.FeatureFolder, labels: np.ndarray, start: int) -> None:
    num_columns = len(folder.categories) + 1
    if labels.shape[-1] != num_columns:
        raise ValueError(
            f"{layout.FILES['labels']} must have {num_columns} columns, one per category and one "
            f"for the background. Received: {labels.shape[-1]}"
        )
    events, background = labels[..., :-1].max(-1), labels[..., -1]
    wrong = np.flatnonzero(
        ((labels != 0) & (labels != 1)).any((1, 2)) | (events == background).any(1)
    )
    if len(wrong):
        raise ValueError(
            f"{layout.FILES['labels']} must hold zeros and ones, each segment either events or "
            f"background; row {start + wrong[0]} does not"
        )
