"""UCF51: the 51 classes of UCF-101 whose clips have sound, for open-set generalisation."""

from __future__ import annotations

import functools
import os
from typing import Any

from data_tools.io.arguments import check_choice
from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.io.tables import nearest_name, read_list, read_table
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of
from data_tools.published.ucf_vggsound import ucf_split

CLASSES = "UCF51Categories"
TABLE = "ucf51checked"
SUBSETS = ("", "_34", "_17")


class UCF51(PublishedDataset):
    """UCF51: clips with sound and one class each, over all ten seconds.

    The held-out splits follow the groups of UCF-101, each of which is cut from one video. Under the
    reference protocol train and test are both all clips.

    Args:
        root: folder with the class lists and tables, and feature files in `audio` and `video`.
        subset: "" for all classes, "_34" or "_17" for the first ones listed (open set).
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if an option is unknown.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "UCF51Categories.txt").write_text("Typing\\nRafting\\n")
        ...     _ = Path(folder, "ucf51checked.csv").write_text(
        ...         "category,video_id\\nRafting,v_Rafting_g09_c01\\n"
        ...     )
        ...     UCF51(folder).splits["val"][0].spans
        ((1, 0, 10),)

    References:
        Soomro, Zamir, Shah, "UCF101", 2012. Huang et al., "Open-set cross modal generalization via
        multimodal unified representation", ICCV 2025.
    """

    name = "ucf51"
    modalities = ("audio", "video")
    folders = ("", "ucf51", "ucf_vggsound", "oscmg")

    def __init__(self, root: str | os.PathLike[str], subset: str = "", **options: Any) -> None:
        super().__init__(root, **options)
        check_choice("subset", subset, SUBSETS)
        self.subset = subset

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        return tuple(read_list(self.find(f"{CLASSES}{self.subset}.txt")))

    def annotation_files(self) -> tuple[str, ...]:
        return (f"{CLASSES}{self.subset}.txt", f"{TABLE}{self.subset}.csv")

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        path = self.find(f"{TABLE}{self.subset}.csv")
        numbers = {name: number for number, name in enumerate(self.categories)}
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        unknown = []
        for row in read_table(path, ("category", "video_id")):
            number, id = numbers.get(row["category"]), row["video_id"]
            if number is None:
                unknown.append(f"line {row.line}: {nearest_name(row['category'], numbers)}")
                continue
            split, group = ucf_split(id, f"{path}, line {row.line}")
            splits[split].append(Example(id, id, group, ((number, 0, NUM_SEGMENTS),)))
        issues = list(issues_of("unknown class", path.name, unknown, "left out"))
        if self.protocol == "reference":
            everything = [example for split in SPLITS for example in splits[split]]
            return {"train": everything, "test": everything}, issues
        return splits, issues
