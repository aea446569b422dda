"""Feature folders in the published AVE layout.

A folder holds `visual_feature.h5`, `audio_feature.h5`, `labels.h5` (and here `text_feature.h5`),
each with rows of clips under the key `avadataset`, and one order file of row numbers per split
under the key `order`.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.io.files import is_sha256, read_record, reading, shorten
from data_tools.io.hdf5 import ORDER_KEY, IsolatedArray, open_array, read_array
from data_tools.io.tables import AVE_COLUMNS, read_table, read_text

FILES = {
    "audio": "audio_feature.h5",
    "video": "visual_feature.h5",
    "text": "text_feature.h5",
    "labels": "labels.h5",
}
MODALITIES = ("audio", "video", "text")
RANKS = {"audio": 3, "video": 5, "text": 3, "labels": 3}
MAX_NAME = 255
"""Bytes of the longest name of a file in a manifest."""
MANIFEST, CLIPS, EXTRACTORS = "manifest.json", "clips.jsonl", "extractors.npz"
ITEMS = "items.jsonl"
"""Group and collection of each file of composed clips, see `data_tools.read_clip_origins`."""
SCHEMA = "schema.json"
"""File of a store, see `data_tools.store`; a feature folder has none."""
ANNOTATIONS, CAPTIONS, CATEGORIES = "Annotations.txt", "captions.txt", "categories.txt"


def order_file(split: str) -> str:
    """Returns the name of the order file of a split.

    Args:
        split: "train", "val" or "test".

    Returns:
        The file name.

    Example:
        >>> order_file("val")
        'val_order.h5'
    """
    return f"{split}_order.h5"


class FeatureFolder:
    """Reads rows of a feature folder in the AVE layout.

    Args:
        root: the folder.

    Raises:
        FileNotFoundError: if the folder does not exist.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 4})
        ...     FeatureFolder(path).order("train")
        array([0, 1, 2, 3])
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"`root` must be a folder of feature files. Received: {root}")
        self._arrays: dict[str, IsolatedArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Each process opens the files in a reader of its own.
        return {"root": self.root, "_arrays": {}}

    def array(self, kind: str) -> IsolatedArray:
        """Opens the array of "audio", "video", "text" or "labels" on disk.

        Raises:
            ValueError: if the kind is unknown, or the array has the wrong number of axes or rows.
        """
        check_choice("kind", kind, tuple(FILES))
        if kind not in self._arrays:
            array = open_array(self.root / FILES[kind])
            if array.ndim != RANKS[kind]:
                raise ValueError(
                    f"{array.path} must have {RANKS[kind]} axes. Received: {array.shape}"
                )
            for other, opened in self._arrays.items():
                if len(opened) != len(array):
                    raise ValueError(
                        f"files of {self.root} must have one row per clip. Received: "
                        f"{len(opened)} in {FILES[other]} and {len(array)} in {FILES[kind]}"
                    )
            self._arrays[kind] = array
        return self._arrays[kind]

    @property
    def num_rows(self) -> int:
        """Number of clips in the folder.

        Raises:
            FileNotFoundError: if no feature file is there.
        """
        for kind, name in FILES.items():
            if (self.root / name).is_file():
                return len(self.array(kind))
        raise FileNotFoundError(f"{self.root} must hold one of {list(FILES.values())}")

    def split_names(self) -> tuple[str, ...]:
        """Returns the names of the splits that the folder has."""
        return tuple(split for split in SPLITS if (self.root / order_file(split)).is_file())

    def order(self, split: str) -> np.ndarray:
        """Reads the row numbers of a split, (clips,) int64.

        Raises:
            ValueError: if the split is unknown or empty, or a row number is out of range.
        """
        check_choice("split", split, SPLITS)
        rows = read_array(self.root / order_file(split), ORDER_KEY)
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or len(rows) == 0:
            raise ValueError(
                f"{order_file(split)} of {self.root} must list at least one row number. "
                f"Received: {rows.dtype} of shape {rows.shape}"
            )
        num_rows = self.num_rows
        if rows.min() < 0 or rows.max() >= num_rows:
            raise ValueError(
                f"{order_file(split)} of {self.root} must hold row numbers from 0 to "
                f"{num_rows - 1}. Received: {rows.min()} to {rows.max()}"
            )
        return rows.astype(np.int64)

    def read(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Reads rows of an array as float32.

        Raises:
            ValueError: if a value is not finite, or the file is damaged.
        """
        array = self.array(kind)
        stored = array.read(rows)
        # NumPy converts half precision many times faster than HDF5 does.
        result = stored.astype(np.float32, copy=False)
        if not np.isfinite(result).all():
            bad = [
                row for row, value in zip(rows, result, strict=True) if not np.isfinite(value).all()
            ]
            raise ValueError(
                f"{array.path} must hold finite numbers. Received NaN or infinity in row {bad[0]}"
            )
        return result

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest: arguments, sources and files of the preparation."""
        return read_record(self.root / MANIFEST, {})

    def listed_files(self) -> dict[str, str]:
        """Returns the files of the preparation and their checksums, by the manifest.

        Returns:
            Name of each file to its SHA-256.

        Raises:
            FileNotFoundError: if there is no manifest.
            ValueError: if it does not list files of the folder.
        """
        path = self.root / MANIFEST
        with reading(path, "list the files of the preparation"):
            files = self.manifest["files"]
            if not all(isinstance(name, str) and is_sha256(sha) for name, sha in files.items()):
                raise ValueError(
                    f"{path} must list files and their checksums. Received: {shorten(files)}"
                )
            for name in files:
                # Surrogates, which no file system takes, are not printable.
                plain = name.isprintable() and len(name.encode()) <= MAX_NAME
                if not plain or Path(name).is_absolute() or ".." in Path(name).parts:
                    raise ValueError(
                        f"{path} must list files of its folder. Received: {shorten(name)}"
                    )
            return dict(files)

    @functools.cached_property
    def categories(self) -> list[str]:
        """Class names, in the order of the label columns."""
        path = self.root / CATEGORIES
        if path.is_file():
            return read_text(path).splitlines()
        rows = read_table(self.root / ANNOTATIONS, AVE_COLUMNS, header=None)
        return list(dict.fromkeys(row["category"] for row in rows))

    def close(self) -> None:
        """Closes the files."""
        for array in self._arrays.values():
            array.close()
        self._arrays.clear()
