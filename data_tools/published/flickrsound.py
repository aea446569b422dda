"""FlickrSound: sounds with a frame of the same moment, for retrieval between audio and video."""

from __future__ import annotations

import os
from typing import Any

from data_tools.io.constants import SPLITS
from data_tools.io.tables import read_table
from data_tools.published.annotations import hash_split
from data_tools.published.captioned import CaptionedDataset
from data_tools.published.clotho import file_id
from data_tools.published.examples import Example, Issue

FILES = ("flickr.csv", "flickrsound.csv", "FlickrSound.csv")


class FlickrSound(CaptionedDataset):
    """FlickrSound: pairs of sound and picture, divided 80 : 10 : 10 by a hash of the id.

    Under the reference protocol all are in test.

    Args:
        root: folder with the list, and feature files in `audio` and `video`.
        table: name of the list.
        options: arguments of `CaptionedDataset`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "flickr.csv").write_text("filename\\n1.wav\\n2.wav\\n")
        ...     len(FlickrSound(folder, protocol="reference").examples("test"))
        2

    References:
        Senocak et al., "Learning to localize sound source in visual scenes", CVPR 2018.
    """

    name = "flickrsound"
    modalities = ("audio", "video")
    folders = ("", "flickrsound")

    def __init__(
        self, root: str | os.PathLike[str], table: str | None = None, **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.tables = FILES if table is None else (table,)

    def annotation_files(self) -> tuple[str, ...]:
        return self.tables[:1]

    def pairs(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        path = self.find(*self.tables)
        ids = [file_id(row["filename"]) for row in read_table(path, ("filename",))]
        examples = [Example(id, id, id) for id in ids]
        if self.protocol == "reference":
            return {"test": examples}, []
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        for example in examples:
            splits[hash_split(example.id)].append(example)
        return {split: chosen for split, chosen in splits.items() if chosen}, []
