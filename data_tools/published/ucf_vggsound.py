"""UCF-101 and VGGSound: 16 paired classes, video of one data set and audio of the other."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any

from data_tools.io.arguments import check_choice
from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.io.tables import nearest_name, read_list, read_table
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of

CLASS_FILES = {"ucf": "UCF101sameVGGSound.txt", "vggsound": "VGGSoundsameUCF101.txt"}
TABLES = {"ucf": "ucf2vggsound", "vggsound": "vggsound2ucf"}
SUBSETS = ("", "_12", "_8")
SIDES = ("ucf", "vggsound")

_UCF_GROUP = re.compile(r"(v_.+_g(\d\d))_c\d\d")
LAST_TEST_GROUP, LAST_VAL_GROUP = 7, 10
"""UCF-101's first official split tests on groups 1 to 7; the next three are for validation."""


class UCFVGGSound(PublishedDataset):
    """UCF-101 or VGGSound: clips with one class each, over all ten seconds.

    The held-out splits of UCF follow its groups, each of which is cut from one video; those of
    VGGSound are the published ones. Classes with clips on one side only are left out of them.
    Under the reference protocol train and test are both the whole side.

    Args:
        root: folder with the class lists and tables, and feature files in `ucf/video`,
            `vggsound/audio` and so on.
        side: "ucf" or "vggsound".
        subset: "" for all classes, "_12" or "_8" for the first ones listed (open set).
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if an option is unknown.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for side, name in CLASS_FILES.items():
        ...         _ = Path(folder, name).write_text("Skiing\\nBowling\\n")
        ...     for side, id in {"ucf": "v_Skiing_g09_c01", "vggsound": "a"}.items():
        ...         _ = Path(folder, TABLES[side] + ".csv").write_text(
        ...             f"category,video_id,split\\nSkiing,{id},train\\n"
        ...         )
        ...     UCFVGGSound(folder, side="ucf").splits["val"][0].group
        'v_Skiing_g09'

    References:
        Soomro, Zamir, Shah, "UCF101", 2012. Chen et al., "VGGSound", ICASSP 2020.
    """

    name = "ucf_vggsound"
    modalities = ("audio", "video")
    folders = ("", "ucf_vggsound", "oscmg")

    def __init__(
        self,
        root: str | os.PathLike[str],
        side: str = "ucf",
        subset: str = "",
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        check_choice("side", side, SIDES)
        check_choice("subset", subset, SUBSETS)
        self.side = side
        self.subset = subset
        self.youtube_ids = side == "vggsound"

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        return self._class_list(self.side)

    def _class_list(self, side: str) -> tuple[str, ...]:
        # A line may give a second name after a tab; the first is that of the tables.
        lines = read_list(self.find(CLASS_FILES[side]))
        return tuple(line.partition("\t")[0].strip() for line in lines)

    def _table(self, side: str) -> str:
        return f"{TABLES[side]}{self.subset}.csv"

    def annotation_files(self) -> tuple[str, ...]:
        return (*CLASS_FILES.values(), *(self._table(side) for side in SIDES))

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        lists = {side: self._class_list(side) for side in SIDES}
        if len(lists["ucf"]) != len(lists["vggsound"]):
            raise ValueError(
                f"{CLASS_FILES['ucf']} and {CLASS_FILES['vggsound']} must pair classes line by "
                f"line. Received {len(lists['ucf'])} and {len(lists['vggsound'])} lines"
            )
        present = {side: self._present(side, lists[side]) for side in SIDES}
        both = present["ucf"] & present["vggsound"]
        lonely = [
            f"{lists['ucf'][number]} / {lists['vggsound'][number]}: "
            f"{'ucf' if number in present['ucf'] else 'vggsound'} only"
            for number in sorted(present["ucf"] ^ present["vggsound"])
        ]
        splits, unknown = self._examples(lists[self.side], both)
        return splits, [
            *issues_of(
                "class on one side only", " and ".join(CLASS_FILES.values()), lonely, "left out"
            ),
            *issues_of("unknown class", self._table(self.side), unknown, "left out"),
        ]

    def _present(self, side: str, classes: tuple[str, ...]) -> set[int]:
        rows = read_table(self.find(self._table(side)), ("category",))
        names = {row["category"] for row in rows}
        return {number for number, name in enumerate(classes) if name in names}

    def _examples(
        self, classes: tuple[str, ...], both: set[int]
    ) -> tuple[dict[str, list[Example]], list[str]]:
        path = self.find(self._table(self.side))
        columns = ("category", "video_id", *(("split",) if self.side == "vggsound" else ()))
        numbers = {name: number for number, name in enumerate(classes)}
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        everything, unknown = [], []
        for row in read_table(path, columns):
            number, id = numbers.get(row["category"]), row["video_id"]
            if number is None:
                unknown.append(f"line {row.line}: {nearest_name(row['category'], numbers)}")
                continue
            fault = "" if number in both else "class on one side only"
            if self.side == "ucf":
                split, group = ucf_split(id, f"{path}, line {row.line}")
            else:
                split, group = row["split"], id
            example = Example(id, id, group, ((number, 0, NUM_SEGMENTS),), fault=fault)
            everything.append(example)
            if split not in splits:
                raise ValueError(
                    f"{path}, line {row.line} must have a split of {SPLITS}. Received: {split!r}"
                )
            splits[split].append(example)
        if self.protocol == "reference":
            return {"train": everything, "test": everything}, unknown
        return splits, unknown

    def feature_folder(self, modality: str, split: str) -> Path:
        name = f"{self.side}/{modality}"
        return self.find(name) if self.has(name) else self.root / name


def ucf_split(id: str, where: str) -> tuple[str, str]:
    """Returns the held-out split of a UCF-101 clip, and its group: clips cut from the same video.

    Args:
        id: such as `v_Skiing_g09_c01`.
        where: file and line, for the error message.

    Returns:
        The split and the group.

    Raises:
        ValueError: if the id has another form.

    Example:
        >>> ucf_split("v_Skiing_g09_c01", "a.csv, line 2")
        ('val', 'v_Skiing_g09')
    """
    match = _UCF_GROUP.fullmatch(id)
    if match is None:
        raise ValueError(f"{where} must have an id such as v_Skiing_g09_c01. Received: {id!r}")
    number = int(match[2])
    split = "train" if number > LAST_VAL_GROUP else "val" if number > LAST_TEST_GROUP else "test"
    return split, match[1]
