"""VGGSound-AVEL40K: the pre-training data, with 141 classes and a sentence for each of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.io.tables import Row, nearest_name, read_list, read_table
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of
from data_tools.published.sources import Source

TABLES = ("vggsound-avel40k.csv", "vggsound_avel40k.csv", "VggsoundAVEL40k.csv")
CLASS_FILE = "VggsoundAVEL40kCategories.txt"
PROMPT_FILE = "vggsoundCategories2Prompts.csv"
LARGER_TABLE = "vggsound-avel90k-new.csv"
"""A later table of the same authors: more videos of the same classes, but not all of AVEL40K."""


class VGGSound(PublishedDataset):
    """VGGSound-AVEL40K: clips with one class each; the text is the sentence of the class.

    The class list is needed for labels, the list of sentences for text.

    Args:
        root: folder with the table, the classes and the sentences, and feature files in `audio`,
            `video` and, if they are stored, `text`.
        table: name of the table of `split`, `category`, `video_id`, such as
            "vggsound-avel90k-new.csv".
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if an option is unknown.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, TABLES[0]).write_text(
        ...         "split,category,video_id\\ntrain,skiing,a\\nval,bowling,b\\n"
        ...     )
        ...     _ = Path(folder, PROMPT_FILE).write_text(
        ...         "label,prompt\\nskiing,The sound of skis\\nbowling,Pins that fall\\n"
        ...     )
        ...     VGGSound(folder).examples("train")[0].caption
        'The sound of skis'

    References:
        Chen et al., "VGGSound", ICASSP 2020. Zhou et al., "Contrastive positive sample
        propagation along the audio-visual event line", TPAMI 2023 (AVEL40K).
    """

    name = "vggsound"
    modalities = ("audio", "video", "text")
    folders = ("", "vggsound", "ucf_vggsound")
    youtube_ids = True

    def __init__(
        self, root: str | os.PathLike[str], table: str | None = None, **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.tables = TABLES if table is None else (table,)

    @functools.cached_property
    def _rows(self) -> list[Row]:
        return read_table(self.find(*self.tables), ("split", "category", "video_id"))

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        return tuple(read_list(self.find(CLASS_FILE)))

    def annotation_files(self) -> tuple[str, ...]:
        return (self.tables[0], CLASS_FILE, PROMPT_FILE)

    def is_present(self) -> bool:
        # The other files also belong to UCF-VGGSound.
        return self.has(*self.tables)

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        path = self.find(*self.tables)
        # Without labels the numbers of the classes do not matter.
        names = self.categories if self.has(CLASS_FILE) else sorted(self._named_categories)
        numbers = {name: number for number, name in enumerate(names)}
        prompts = self._prompts()
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        unknown = []
        for row in self._rows:
            split, category, id = row["split"], row["category"], row["video_id"]
            if split not in splits or not id:
                raise ValueError(
                    f"{path}, line {row.line} must have a split of {SPLITS} and a video id. "
                    f"Received: {split!r}, {id!r}"
                )
            if category not in numbers:
                unknown.append(f"line {row.line}: {nearest_name(category, numbers)}")
                continue
            spans = ((numbers[category], 0, NUM_SEGMENTS),)
            splits[split].append(Example(id, id, id, spans, prompts.get(category, "")))
        without = [name for name in names if not prompts.get(name)]
        return {split: examples for split, examples in splits.items() if examples}, [
            *issues_of("unknown class", path.name, unknown, "left out"),
            *issues_of("empty caption", PROMPT_FILE, without, "no text for the class"),
            *self._missing_from_larger(path),
        ]

    @property
    def _named_categories(self) -> set[str]:
        return {row["category"] for row in self._rows}

    def _missing_from_larger(self, path: Path) -> Iterator[Issue]:
        """Videos that the larger table of the same authors lacks, if it is there too."""
        if not self.has(LARGER_TABLE) or path.name == LARGER_TABLE:
            return
        larger = {row["video_id"] for row in read_table(self.find(LARGER_TABLE), ("video_id",))}
        lacking = [row["video_id"] for row in self._rows if row["video_id"] not in larger]
        where = f"{path.name} against {LARGER_TABLE}"
        yield from issues_of("video missing from the larger table", where, lacking, "kept")

    def _prompts(self) -> dict[str, str]:
        if not self.has(PROMPT_FILE):
            return {}
        rows = read_table(self.find(PROMPT_FILE), ("label", "prompt"))
        return {row["label"]: row["prompt"] for row in rows}

    def source(self, modality: str, split: str) -> Source:
        if modality == "text" and not self.feature_folder(modality, split).is_dir():
            self.find(PROMPT_FILE)  # raises an error that names the file
        return super().source(modality, split)

    def labels(self, split: str, kind: str = "segment") -> Source:
        self.find(CLASS_FILE)
        return super().labels(split, kind)
