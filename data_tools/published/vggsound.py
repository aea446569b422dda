"""VGGSound-AVEL40K: the pre-training data, 141 classes, and a sentence for each of them."""

from __future__ import annotations

import functools
import os
from typing import Any

from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.published.annotations import read_lines, read_table
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of

TABLES = ("vggsound-avel40k.csv", "vggsound_avel40k.csv", "VggsoundAVEL40k.csv")
CLASS_FILE = "VggsoundAVEL40kCategories.txt"
PROMPT_FILE = "vggsoundCategories2Prompts.csv"


class VGGSound(PublishedDataset):
    """Clips with one class each, over all ten seconds; the text is the sentence of the class.

    Args:
        root: folder with the table, the classes and the sentences, and feature files in `audio`,
            `video` and, if they are stored, `text`.
        table: name of the table of `split`, `category`, `video_id`.
        options: of `PublishedDataset`.

    Raises:
        FileNotFoundError: the root does not exist.
        ValueError: an option is unknown.

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

    def __init__(
        self, root: str | os.PathLike[str], table: str | None = None, **options: Any
    ) -> None:
        super().__init__(root, **options)
        self.tables = TABLES if table is None else (table,)

    @functools.cached_property
    def _rows(self) -> list[dict[str, str]]:
        return read_table(self.find(*self.tables), ("split", "category", "video_id"))

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        try:
            return tuple(read_lines(self.find(CLASS_FILE)))
        except FileNotFoundError:
            return tuple(sorted({row["category"] for row in self._rows}))

    def annotation_files(self) -> tuple[str, ...]:
        return (self.tables[0], CLASS_FILE, PROMPT_FILE)

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        path = self.find(*self.tables)
        numbers = {name: number for number, name in enumerate(self.categories)}
        prompts = self._prompts()
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        unknown = []
        for line, row in enumerate(self._rows, start=2):
            split, category, id = row["split"], row["category"], row["video_id"]
            if split not in splits or not id:
                raise ValueError(
                    f"{path}, line {line} must have a split of {SPLITS} and a video id; received: "
                    f"{split!r}, {id!r}"
                )
            if category not in numbers:
                unknown.append(f"line {line}: {category}")
                continue
            caption = prompts.get(category, "")
            spans = ((numbers[category], 0, NUM_SEGMENTS),)
            splits[split].append(Example(id, id, id, spans, caption))
        without = [name for name in self.categories if not prompts.get(name)]
        return {split: examples for split, examples in splits.items() if examples}, [
            *issues_of("unknown class", path.name, unknown, "left out"),
            *issues_of("empty caption", PROMPT_FILE, without, "no text for the class"),
        ]

    def _prompts(self) -> dict[str, str]:
        try:
            rows = read_table(self.find(PROMPT_FILE), ("label", "prompt"))
        except FileNotFoundError:
            return {}
        return {row["label"]: row["prompt"] for row in rows}
