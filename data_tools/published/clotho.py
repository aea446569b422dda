"""Clotho: sounds with five sentences each, for retrieval between sound and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from data_tools.io.tables import read_table
from data_tools.published.captioned import CaptionedDataset, empty_captions
from data_tools.published.examples import Example, Issue, issues_of

FILES = {
    "train": ("clotho_captions_development.csv", "train.csv"),
    "val": ("clotho_captions_validation.csv", "val.csv"),
    "test": ("clotho_captions_evaluation.csv", "test.csv", "clotho.csv"),
}
COLUMNS = tuple(f"caption_{number}" for number in range(1, 6))


class Clotho(CaptionedDataset):
    """Clotho: the published splits, as far as their files are there.

    A feature's id is the file name without its ending.

    Args:
        root: folder with the caption files, and feature files in `audio` and, if they are stored,
            `text`.
        options: arguments of `CaptionedDataset`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> table = "file_name," + ",".join(COLUMNS) + "\\nA b.wav,rain,,wind,sea,air\\n"
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "clotho.csv").write_text(table)
        ...     [clip.caption for clip in Clotho(folder, num_captions=2).examples("test")]
        ['rain', 'wind']

    References:
        Drossos, Lipping, Virtanen, "Clotho: an audio captioning dataset", ICASSP 2020.
    """

    name = "clotho"
    modalities = ("audio", "text")
    folders = ("", "clotho")

    def annotation_files(self) -> tuple[str, ...]:
        return tuple(names[0] for names in FILES.values())

    def split_files(self) -> Mapping[str, Sequence[str]]:
        return FILES

    def pairs(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        splits: dict[str, list[Example]] = {}
        issues: list[Issue] = []
        for split, names in FILES.items():
            if not self.has(*names):
                continue
            path = self.find(*names)
            rows = [
                (row["file_name"], [row[column] for column in COLUMNS])
                for row in read_table(path, ("file_name", *COLUMNS))
            ]
            splits[split] = [
                example
                for name, captions in rows
                for example in self.captioned(file_id(name), file_id(name), captions)
            ]
            issues += issues_of(
                "empty caption", path.name, empty_captions(rows), "another of the clip is taken"
            )
        if not splits:
            self.find(*FILES["test"])
        return splits, issues


def file_id(name: str) -> str:
    """Returns the id of a clip from the name of its file.

    Args:
        name: with or without an ending.

    Returns:
        The name without the ending.

    Example:
        >>> file_id("Wind 2.5.wav")
        'Wind 2.5'
    """
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in (".wav", ".mp3", ".flac", ".jpg", ".mp4") else name
