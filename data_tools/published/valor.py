"""VALOR-32K: clips with audio, video and a sentence that describes both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data_tools.published.annotations import read_records
from data_tools.published.captioned import CaptionedDataset, empty_captions
from data_tools.published.examples import Example, Issue, issues_of

FILES = {
    "train": ("desc_train.json", "train.json"),
    "val": ("desc_val.json", "val.json"),
    "test": ("desc_test.json", "test.json", "valor32k.json"),
}
ID_LENGTH = 11


class VALOR(CaptionedDataset):
    """VALOR-32K: the published splits, as far as their files are there.

    Args:
        root: folder with the lists of `video_id` and `desc`, and feature files in `audio`,
            `video` and, if they are stored, `text`.
        options: arguments of `CaptionedDataset`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "desc_test.json").write_text(
        ...         '[{"video_id": "x-2Abohj8VY_30.000_40.000", "desc": "a man sings"}]'
        ...     )
        ...     VALOR(folder).examples("test")[0].group
        'x-2Abohj8VY'

    References:
        Chen et al., "VALOR: vision-audio-language omni-perception pretraining model and dataset",
        2023.
    """

    name = "valor"
    modalities = ("audio", "video", "text")
    folders = ("", "valor")
    youtube_ids = True

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
            rows = []
            for number, record in enumerate(read_records(path, ("video_id", "desc"))):
                if not all(isinstance(value, str) for value in record.values()):
                    raise ValueError(
                        f"{path} must have a video_id and a desc of text in each entry; entry "
                        f"{number} has not"
                    )
                rows.append((record["video_id"], [record["desc"]]))
            splits[split] = [
                example for id, desc in rows for example in self.captioned(id, id[:ID_LENGTH], desc)
            ]
            issues += issues_of("empty caption", path.name, empty_captions(rows), "left out")
        if not splits:
            self.find(*FILES["test"])
        return splits, issues
