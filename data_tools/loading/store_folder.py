"""A store with the interface of a prepared folder: splits, classes, rows by number."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.io.feature_folder import MODALITIES
from data_tools.io.files import sha256_file, shorten
from data_tools.loading.clip_source import LABELS
from data_tools.published.examples import Example
from data_tools.published.selection import Selection
from data_tools.published.sources import Source
from data_tools.raw.composed.items import split_of
from data_tools.store.schema import SCHEMA
from data_tools.store.store import Store


class StoreFolder:
    """Reads a store as `FeatureFolder` reads a prepared folder.

    Clips of a store without splits are divided by a hash of their ids: a quarter for "test", 15 %
    for "val".

    Args:
        root: folder of the store.

    Raises:
        FileNotFoundError: if the folder is not a finished store.
        ValueError: if its schema is damaged, or it has none of the usual modalities.

    Example:
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((10, 2))}) as writer:
        ...     for number in range(8):
        ...         writer.append(f"clip{number}", {"audio": np.full((10, 2), number)})
        >>> folder = StoreFolder("store")
        >>> folder.modalities, folder.order("test").tolist()
        (('audio',), [6])
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.store = Store(root)
        self.modalities = tuple(name for name in MODALITIES if name in self.store.fields)
        if not self.modalities:
            raise ValueError(
                f"{root} must have a field of {MODALITIES}. Received: {sorted(self.store.fields)}"
            )
        self.categories = list(self.store.categories)

    @functools.cached_property
    def clips(self) -> list[dict[str, Any]]:
        """Metadata of all rows: `id`, and `label`, `split` and files as far as known."""
        return list(self.store.clips())

    @functools.cached_property
    def _splits(self) -> list[str]:
        given = [clip.get("split") or "" for clip in self.clips]
        return given if any(given) else [split_of(clip["id"]) for clip in self.clips]

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What the store was made from, and the checksum of its schema, which has all others."""
        origin = self.store.schema["origin"].get("extraction", {})
        return {"origin": origin, "sha256": sha256_file(self.root / SCHEMA)}

    def split_names(self) -> tuple[str, ...]:
        """Returns the names of the splits that have clips."""
        return tuple(split for split in SPLITS if split in self._splits)

    def order(self, split: str) -> np.ndarray:
        """Returns the row numbers of a split, (clips,) int64.

        Raises:
            ValueError: if the split is unknown or empty.
        """
        check_choice("split", split, SPLITS)
        rows = np.flatnonzero([name == split for name in self._splits]).astype(np.int64)
        if not len(rows):
            raise ValueError(
                f"`split` must be one that {self.root} has, {shorten(self.split_names())}. "
                f"Received: {split!r}"
            )
        return rows

    def read(self, kind: str, rows: np.ndarray) -> np.ndarray:
        """Reads rows of a modality, or of the labels, as float32.

        Raises:
            ValueError: if the store has no such field, or a row is damaged.
        """
        if kind == LABELS and LABELS not in self.store.fields:
            raise ValueError(
                f"{self.root} must have labels: extract clips that have classes, by a column "
                "'label' of the manifest"
            )
        return self.store.read(kind, rows).astype(np.float32)

    def select(self, split: str, modalities: Sequence[str], labels: bool = False) -> Selection:
        """Selects the clips of a split.

        Args:
            split: "train", "val" or "test".
            modalities: modalities to read.
            labels: whether labels are read too.

        Returns:
            The clips and their sources.

        Raises:
            ValueError: if the split is empty, or the store lacks a modality or labels.
        """
        for modality in modalities:
            check_choice("modalities", modality, self.modalities)
        kinds = (*modalities, LABELS) if labels else tuple(modalities)
        examples = [
            Example(self.clips[row]["id"], self.clips[row]["id"], self.clips[row]["id"], row=row)
            for row in self.order(split).tolist()
        ]
        sources: dict[str, Source] = {kind: StoreField(self, kind) for kind in kinds}
        return Selection(f"{self.root} ({split})", examples, sources)

    def close(self) -> None:
        """Closes the files."""
        self.store.close()


class StoreField(Source):
    """Reads one field of a store row by row.

    Args:
        folder: the store.
        kind: name of the field.

    Raises:
        ValueError: if the store has no such field.
    """

    def __init__(self, folder: StoreFolder, kind: str) -> None:
        if kind == LABELS:
            folder.read(kind, np.zeros(0, int))
        self.folder, self.kind = folder, kind
        self.shape = folder.store.fields[kind].shape

    def read(self, example: Example) -> np.ndarray:
        return self.read_many([example])[0]

    def read_many(self, examples: Sequence[Example]) -> np.ndarray:
        return self.folder.read(self.kind, np.array([example.row for example in examples]))
