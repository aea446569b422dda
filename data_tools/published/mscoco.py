"""MSCOCO captions: pictures with five sentences each, for retrieval between video and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_tools.published.annotations import read_records
from data_tools.published.captioned import CaptionedDataset, empty_captions
from data_tools.published.examples import Example, Issue, issues_of

FILES = {
    "train": ("captions_train2017.json", "captions_train2014.json"),
    "test": ("captions_val2017.json", "captions_val2014.json", "captions.json"),
}


class MSCOCO(CaptionedDataset):
    """MSCOCO: the published splits, as far as they are there; the validation images are test.

    A feature's id is the number of the picture, zero-padded to twelve digits.

    Args:
        root: folder with the caption files in it or in `annotations`, and feature files in
            `video` and, if they are stored, `text`.
        options: arguments of `CaptionedDataset`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "captions.json").write_text(
        ...         '{"annotations": [{"image_id": 139, "caption": "a room"}]}'
        ...     )
        ...     MSCOCO(folder).examples("test")[0].id
        '000000000139'

    References:
        Chen et al., "Microsoft COCO captions: data collection and evaluation server", 2015.
    """

    name = "mscoco"
    modalities = ("video", "text")
    folders = ("", "annotations", "mscoco", "mscoco/annotations")

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
            captions = read_captions(path)
            splits[split] = [
                example
                for id, sentences in captions.items()
                for example in self.captioned(id, id, sentences)
            ]
            issues += issues_of(
                "empty caption",
                path.name,
                empty_captions(captions.items()),
                "another of the clip is taken",
            )
        if not splits:
            self.find(*FILES["test"])
        return splits, issues


def read_captions(path: Path) -> dict[str, list[str]]:
    """Reads the sentences of each picture.

    Args:
        path: the JSON file.

    Returns:
        Sentences by id, in order of appearance.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file has another form.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "captions.json")
        ...     _ = path.write_text('{"annotations": [{"image_id": "x", "caption": "a room"}]}')
        ...     read_captions(path)
        Traceback (most recent call last):
        ...
        ValueError: ...captions.json must have a whole image_id and a caption of text in each entry;
        entry 0 has 'x', 'a room'
    """
    captions: dict[str, list[str]] = {}
    for number, record in enumerate(read_records(path, ("image_id", "caption"), "annotations")):
        id, caption = record["image_id"], record["caption"]
        whole = isinstance(id, int) and not isinstance(id, bool) and id >= 0
        if not whole or not isinstance(caption, str):
            raise ValueError(
                f"{path} must have a whole image_id and a caption of text in each entry; entry "
                f"{number} has {id!r}, {caption!r}"
            )
        captions.setdefault(f"{id:012d}", []).append(caption)
    return captions
