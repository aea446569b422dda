"""AVVP (LLP): several audible and visible events in each clip, 25 classes."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from data_tools.io.arguments import check_choice
from data_tools.io.tables import nearest_name, read_list, read_table
from data_tools.published.annotations import Span, hash_split, read_span
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue, issues_of
from data_tools.published.sources import LabelSource, Source, WeakLabelSource

CATEGORIES = (
    *("Speech", "Car", "Cheering", "Dog", "Cat", "Frying_(food)", "Basketball_bounce"),
    *("Fire_alarm", "Chainsaw", "Cello", "Banjo", "Singing", "Chicken_rooster"),
    *("Violin_fiddle", "Vacuum_cleaner", "Baby_laughter", "Accordion", "Lawn_mower"),
    *("Motorcycle", "Helicopter", "Acoustic_guitar", "Telephone_bell_ringing"),
    *("Baby_cry_infant_cry", "Blender", "Clapping"),
)
"""In the order of the first published code, used if there is no `AVVP_Categories.txt`."""
CLASS_FILE = "AVVP_Categories.txt"
WEAK_FILES = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
VERSIONS = {"combined": "_checked_combined", "checked": "_checked", "original": ""}
EVENTS = ("audio", "visual")
NAME = ("filename",)
EVENT_COLUMNS = ("filename", "onset", "offset", "event_labels")
ID_LENGTH = 11
PROBE_VAL = 0.2
"""Share of the annotated validation videos for the validation split; the rest is for training."""


class AVVP(PublishedDataset):
    """AVVP: weak labels of all videos, and events by the second of validation and test videos.

    With `labels="segment"` the held-out splits are: train and val, a division of the annotated
    validation videos; test, the annotated test videos. Training videos have no events by the
    second. With `weak=True` they are the published ones, with weak labels only.
    Under the reference protocol train and test are both the whole event file.

    Args:
        root: folder with the event files and lists of videos, and feature files in `audio` and
            `video`.
        events: "audio" or "visual": whose events the labels are.
        version: "combined" (one line per video), "checked" or "original" event files.
        weak: the published splits with weak labels, in place of the annotated ones.
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if an option is unknown.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "AVVP_eval_visual.csv").write_text(
        ...         "filename\\tonset\\toffset\\tevent_labels\\nabcdefghijk_0_10\\t0\\t4\\tDog\\n"
        ...     )
        ...     dataset = AVVP(folder, version="original", protocol="reference")
        ...     dataset.examples("test")[0].spans
        ((3, 0, 4),)

    References:
        Tian, Li, Xu, "Unified multisensory perception: weakly-supervised audio-visual video
        parsing", ECCV 2020.
    """

    name = "avvp"
    modalities = ("audio", "video")
    folders: tuple[str, ...] = ("", "avvp", "checked", "avvp/checked")
    prefix = "AVVP"
    youtube_ids = True

    def __init__(
        self,
        root: str | os.PathLike[str],
        events: str = "visual",
        version: str = "combined",
        weak: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        check_choice("events", events, EVENTS)
        check_choice("version", version, tuple(VERSIONS))
        self.events = events
        self.version = version
        self.weak = weak

    @functools.cached_property
    def categories(self) -> tuple[str, ...]:
        return tuple(read_list(self.find(CLASS_FILE))) if self.has(CLASS_FILE) else CATEGORIES

    def event_file(self) -> str:
        """Returns the name of the event file that the options choose."""
        return f"{self.prefix}_eval_{self.events}{VERSIONS[self.version]}.csv"

    def annotation_files(self) -> tuple[str, ...]:
        listed = tuple(WEAK_FILES.values())
        return (*listed, CLASS_FILE) if self.weak else (self.event_file(), *listed, CLASS_FILE)

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        if self.weak:
            lists = {
                split: read_weak(self.find(name), self.categories)
                for split, name in WEAK_FILES.items()
            }
            return lists, []
        path = self.find(self.event_file())
        merge = self.protocol == "heldout" or self.version != "combined"
        examples, issues = read_events(path, self.categories, merge)
        if self.protocol == "reference":
            return {"train": examples, "test": examples}, issues
        splits, more = self._annotated_splits(examples, path)
        return splits, [*issues, *more]

    def _annotated_splits(
        self, examples: list[Example], path: Path
    ) -> tuple[dict[str, list[Example]], list[Issue]]:
        """Divides the annotated videos by the published lists of val and test videos."""
        names: set[str] = set()
        ids: dict[str, set[str]] = {}
        for split in ("val", "test"):
            listed = {row["filename"] for row in read_table(self.find(WEAK_FILES[split]), NAME)}
            names |= listed
            ids[split] = {name[:ID_LENGTH] for name in listed}
        splits: dict[str, list[Example]] = {"train": [], "val": [], "test": []}
        for example in examples:
            if example.id in ids["test"]:
                splits["test"].append(example)
            elif example.id in ids["val"]:
                chosen = hash_split(example.id, val=PROBE_VAL, test=0)
                splits[chosen].append(example)
        written: dict[str, int] = {}
        for row in read_table(path, NAME):
            written.setdefault(row["filename"], row.line)
        known: list[str] = []
        unmatched: list[str] = []
        for name, line in written.items():
            if name in names:
                continue
            text = f"line {line}: {nearest_name(name, names)}"
            if name in self.categories:
                text = f"line {line}: {name!r} (the name of a class)"
            found = name[:ID_LENGTH] in ids["val"] | ids["test"]
            (known if found else unmatched).append(text)
        return splits, [
            *issues_of("stray name", path.name, known, "found again by the video id"),
            *issues_of("unmatched name", path.name, unmatched, "left out"),
        ]

    def listed_groups(self) -> dict[str, frozenset[str]]:
        return {
            split: frozenset(
                row["filename"][:ID_LENGTH] for row in read_table(self.find(name), NAME)
            )
            for split, name in WEAK_FILES.items()
            if self.has(name)
        }

    def labels(self, split: str, kind: str = "segment") -> Source:
        check_choice("labels", kind, ("weak",) if self.weak else ("segment", "weak"))
        size = len(self.categories)
        return WeakLabelSource(size) if kind == "weak" else LabelSource(size)


def class_number(name: str, categories: tuple[str, ...], where: str) -> int:
    """Returns the index of a class in a list.

    Args:
        name: name of the class.
        categories: the list.
        where: file and line, for the error message.

    Returns:
        The place.

    Raises:
        ValueError: if it is not in the list.

    Example:
        >>> class_number("Dog", ("Cat", "Dog"), "a.csv, line 2")
        1
    """
    if name not in categories:
        raise ValueError(
            f"{where} must name one of {len(categories)} classes. Received: "
            f"{nearest_name(name, categories)}"
        )
    return categories.index(name)


def read_weak(path: Path, categories: tuple[str, ...]) -> list[Example]:
    """Reads the videos of a list with the classes that occur in them.

    Args:
        path: the file: `filename`, `event_labels` (joined by commas).
        categories: the classes.

    Returns:
        The videos, each class over the whole ten seconds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "AVVP_train.csv")
        ...     _ = path.write_text("filename\\tevent_labels\\nBjCEufrlXm4_20_30\\tSpeech,Dog\\n")
        ...     read_weak(path, CATEGORIES)[0].spans
        ((0, 0, 10), (3, 0, 10))
    """
    examples = []
    for row in read_table(path, ["filename", "event_labels"]):
        id = row["filename"][:ID_LENGTH]
        numbers = [
            class_number(name, categories, f"{path}, line {row.line}")
            for name in row["event_labels"].split(",")
        ]
        spans = tuple((number, 0, 10) for number in dict.fromkeys(numbers))
        examples.append(Example(id, row["filename"], id, spans))
    return examples


def read_events(
    path: Path, categories: tuple[str, ...], merge: bool = True
) -> tuple[list[Example], list[Issue]]:
    """Reads the videos of an event file, with one event per line or all events of a video per line.

    Args:
        path: the file: `filename`, `onset`, `offset`, `event_labels`.
        categories: the classes.
        merge: one example per video id; else one per line, as the published code has it.

    Returns:
        The videos in order of appearance, and the empty and repeated events, which are left out.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "events.csv")
        ...     _ = path.write_text(
        ...         "filename\\tonset\\toffset\\tevent_labels\\n"
        ...         "KSRjje7GH44_60_70\\t8,0\\t10,8\\tBlender,Speech\\n"
        ...     )
        ...     read_events(path, CATEGORIES)[0][0].spans
        ((23, 8, 10), (0, 0, 8))
    """
    events: dict[str, list[Span]] = {}
    names: dict[str, list[str]] = {}
    empty, repeated = [], []
    for row in read_table(path, EVENT_COLUMNS):
        where = f"{path}, line {row.line}"
        name = row["filename"]
        columns = [row[column].split(",") for column in EVENT_COLUMNS[1:]]
        if len({len(column) for column in columns}) != 1:
            raise ValueError(
                f"{where} must have as many onsets as offsets and labels. Received: "
                f"{[len(column) for column in columns]}"
            )
        key = name[:ID_LENGTH] if merge else f"{name}#{row.line}"
        names.setdefault(key, []).append(name)
        spans = events.setdefault(key, [])
        for onset, offset, label in zip(*columns, strict=True):
            span = (class_number(label, categories, where), *read_span(onset, offset, where))
            if span[1] >= span[2]:
                empty.append(f"{name} {label} {onset}-{offset}")
            elif span in spans:
                repeated.append(f"{name} {label} {onset}-{offset}")
            else:
                spans.append(span)
    examples = []
    for key, spans in events.items():
        name = names[key][0]
        fault = "" if spans else "no event left"
        id = name[:ID_LENGTH]
        examples.append(Example(id, key if merge else name, id, tuple(spans), fault=fault))
    mixed = ["/".join(dict.fromkeys(found)) for found in names.values() if len(set(found)) > 1]
    return examples, [
        *issues_of("empty span", path.name, empty, "left out"),
        *issues_of("duplicate", path.name, repeated, "counted once"),
        *issues_of("video under two names", path.name, mixed, "joined by the video id"),
    ]
