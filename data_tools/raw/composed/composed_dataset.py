"""Ten-second clips composed of recordings, pictures and captions of one class."""

from __future__ import annotations

import abc
import collections
import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_tools.decoding import DecodeError
from data_tools.features.text import words
from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.io.files import sha256_file
from data_tools.raw.base import Clip, RawDataset
from data_tools.raw.composed.items import BACKGROUND, MODALITIES, Item
from data_tools.raw.composed.naming_words import mask_names
from data_tools.raw.composed.near_duplicates import alike_pictures, alike_sounds
from data_tools.raw.composed.rendering import (
    LEVEL,
    MAX_SECONDS,
    SAMPLE_RATE,
    generator,
    recoded,
    render_picture,
    render_sound,
)
from data_tools.raw.waveforms import coloured_noise

PROMPT = "a photo and the sound of a {}"
GENERATED = 3
"""Backgrounds that are made up for each split where there are none."""
CAPTIONS, MISSING = ("written", "masked"), ("masked", "prompt")
FREQUENCIES = ("balanced", "natural")
NEAR_DUPLICATES = ("drop", "keep")
TEST_ROOT = "test_root"
"""Folder of the names of items that are in the folder of the tests."""


class ComposedDataset(RawDataset):
    """Clips with one event of 4 to 10 seconds: a recording and pictures of a class.

    An event has the seconds of one recording, over and over if it is shorter, and two to four
    pictures one after another. The other seconds have one recording and one picture of the
    background. The caption is that of another file of the class. No recording, picture, caption or
    group of them is in two splits.

    So that collections cannot be told apart, recordings are brought to one bandwidth, loudness and
    noise floor, pictures to one size and through one JPEG coding.

    Args:
        root: folder of the files.
        split: see `RawDataset`.
        categories: classes, all that the subclass knows if None.
        frequencies: "balanced", or "natural" for as many training and validation clips of a class
            as it has recordings; test clips are balanced.
        captions: "written", or "masked" for captions without any word that names a class.
        missing_text: of classes without captions: "masked" for no words, "prompt" for a sentence
            that names the class, as the paper generates text.
        near_duplicates: "drop" training and validation items that nearly equal an item of a later
            split, or items of `test_root` that nearly equal one of `root`; "keep" them all. They
            are reported either way.
        bandwidth: highest frequency of the recordings, in hertz.
        side: pixels of a side of the pictures.
        test_root: folder of the same layout of which all test clips are composed, whatever the
            hash of a group; `root` then gives training and validation clips alone. Files of it
            are left out and reported if their group is in training or validation, or if they
            equal, or nearly equal, a file there (see `near_duplicates`). The same sentence about
            another video is kept.

    Raises:
        ValueError: if an argument is unknown.
    """

    names_identify_files = True
    """Whether files of one name in `root` and `test_root` are the same file."""

    sample_rate = SAMPLE_RATE
    default_num_clips: Mapping[str, int] = {"train": 1500, "val": 300, "test": 1000}

    def __init__(
        self,
        root: str | None = None,
        split: str | None = None,
        categories: Sequence[str] = (),
        frequencies: str = "balanced",
        captions: str = "written",
        missing_text: str = "masked",
        near_duplicates: str = "drop",
        bandwidth: int = 8000,
        side: int = 32,
        test_root: str | None = None,
    ) -> None:
        super().__init__(root, split)
        for argument, value, choices in (
            ("frequencies", frequencies, FREQUENCIES),
            ("captions", captions, CAPTIONS),
            ("missing_text", missing_text, MISSING),
            ("near_duplicates", near_duplicates, NEAR_DUPLICATES),
        ):
            if value not in choices:
                raise ValueError(f"`{argument}` must be one of {choices}. Received: {value!r}")
        if not 500 <= bandwidth <= SAMPLE_RATE // 2:
            raise ValueError(
                f"`bandwidth` must be between 500 and {SAMPLE_RATE // 2} Hz. Received: {bandwidth}"
            )
        if side < 8:
            raise ValueError(f"`side` must be at least 8. Received: {side}")
        self.categories = tuple(categories)
        self.frequencies, self.captions, self.missing_text = frequencies, captions, missing_text
        self.near_duplicates = near_duplicates
        self.bandwidth, self.side = bandwidth, side
        # A folder that is named by a number comes as one from the command line.
        self.test_root = None if test_root is None else str(test_root)
        self.failures: list[dict[str, str]] = []
        """Files that cannot be used: `modality`, `file` and `reason`."""
        self.duplicates: list[dict[str, Any]] = []
        """Pairs of nearly equal files: `modality`, `files`, `splits`, `correlation` and `dropped`,
        the one that is left out or None."""
        self.leaks: list[dict[str, str]] = []
        """Files of `test_root` that are left out: `modality`, `file` and `reason`."""
        self._left_out: set[tuple[str, str]] = set()

    @abc.abstractmethod
    def read_items(self, root: str | None) -> list[Item]:
        """Reads all items that a folder holds, of the classes and the background.

        Args:
            root: the folder; the data set's own default if None.
        """

    def items(self) -> list[Item]:
        """Returns all items, those of `test_root` included; see `leaks` for what was left out.

        Raises:
            FileNotFoundError: if `test_root` does not exist.
        """
        items = self.read_items(self.root)
        if self.test_root is None:
            return items
        if not Path(self.test_root).is_dir():
            raise FileNotFoundError(
                f"`test_root` must be a folder with the layout of `root`. Received: "
                f"{self.test_root}"
            )
        items = [item for item in items if item.in_split != "test"]
        groups = {(item.modality, item.group): item.name for item in items}
        contents = {_content(item): item.name for item in items if item.path}
        self.leaks = []
        for item in self.read_items(self.test_root):
            named = self.names_identify_files or item.group != item.name
            name = f"{TEST_ROOT}/{item.name}"
            held = dataclasses.replace(
                item, name=name, group=item.group if named else name, split="test"
            )
            known = groups.get((held.modality, held.group))
            reason = f"is of group {held.group}, as is {known}, which is not for tests"
            if known is None and item.path:
                known = contents.get(_content(item))
                reason = f"equals {known}, which is not for tests"
            if known is None:
                items.append(held)
            elif item.category in (*self.categories, BACKGROUND):
                self.leaks.append({"modality": item.modality, "file": name, "reason": reason})
        return items

    @property
    def masked_categories(self) -> tuple[str, ...]:
        """Classes whose names are left out of masked captions."""
        return self.categories

    def options(self) -> dict[str, Any]:
        names = "frequencies captions missing_text near_duplicates bandwidth side test_root"
        return {"split": self.split, **{name: getattr(self, name) for name in names.split()}}

    def sources(self) -> dict[str, str]:
        digests = {}
        for modality in MODALITIES:
            digest = hashlib.sha256()
            for item in sorted(self._found, key=lambda item: item.name):
                if item.modality == modality:
                    content = sha256_file(item.path) if item.path else item.caption
                    digest.update(f"{item.name}\0{content}\0".encode())
            digests[modality] = digest.hexdigest()
        return digests

    @functools.cached_property
    def _found(self) -> list[Item]:
        return [item for item in self.items() if item.category in (*self.categories, BACKGROUND)]

    @functools.cached_property
    def material(self) -> dict[tuple[str, str], Any]:
        """Rendered items by modality and name: int16 waveforms at `SAMPLE_RATE` of whole seconds,
        pictures (side, side, 3) uint8, captions. Files that cannot be used are noted."""
        material: dict[tuple[str, str], Any] = {}
        for item in self._found:
            try:
                material[item.modality, item.name] = self._render(item)
            except DecodeError as error:
                self.note_failure(item.modality, item.name, str(error))
        self._note_duplicates(material)
        for split in SPLITS:
            for number in range(GENERATED):
                material |= self._generated(split, number)
        return material

    def note_failure(self, modality: str, name: str, reason: str) -> None:
        """Leaves an item out of all clips and notes why."""
        self.failures.append({"modality": modality, "file": name, "reason": reason})
        self._left_out.add((modality, name))

    def _render(self, item: Item) -> Any:
        if item.modality == "audio":
            return render_sound(item.path, self.bandwidth, item.name)
        if item.modality == "video":
            return render_picture(item.path, self.side)
        caption = " ".join(item.caption.split())
        if self.captions == "masked":
            caption = mask_names(caption, self.masked_categories)
        if not words(caption):
            raise DecodeError("has no words" if caption else "is empty")
        return caption

    def _generated(self, split: str, number: int) -> dict[tuple[str, str], Any]:
        """Noise and a plain texture, for data sets without backgrounds."""
        name = f"generated/{split}-{number}"
        rng = generator(name)
        noise = coloured_noise(MAX_SECONDS * SAMPLE_RATE, LEVEL, float(rng.uniform(0, 0.9)), rng)
        coarse = Image.fromarray(rng.integers(40, 120, (4, 4, 3), dtype=np.uint8))
        texture = coarse.resize((self.side, self.side), Image.Resampling.BICUBIC)
        return {
            ("audio", name): np.round(np.clip(noise, -1, 1) * 32767).astype(np.int16),
            ("video", name): recoded(np.asarray(texture)),
        }

    def _note_duplicates(self, material: Mapping[tuple[str, str], Any]) -> None:
        for modality in ("audio", "video"):
            items = [
                item
                for item in self._found
                if item.modality == modality and (modality, item.name) in material
            ]
            signals = [material[modality, item.name] for item in items]
            pairs = (
                alike_sounds([signal / np.float32(32767) for signal in signals], SAMPLE_RATE)
                if modality == "audio"
                else alike_pictures(np.stack(signals) if signals else np.zeros((0, 1, 1, 3)))
            )
            for one, other, score in pairs:
                pair = sorted(
                    (items[one], items[other]), key=lambda item: SPLITS.index(item.in_split)
                )
                splits = [item.in_split for item in pair]
                dropped = None
                if self.near_duplicates == "drop" and splits[0] != splits[1]:
                    # Of a test folder's own files it is the test's, so that training is the same
                    # whatever it is tested on.
                    held = self.test_root is not None and splits[1] == "test"
                    dropped = pair[1 if held else 0].name
                    self._left_out.add((modality, dropped))
                self.duplicates.append(
                    {
                        "modality": modality,
                        "files": [item.name for item in pair],
                        "categories": [item.category for item in pair],
                        "splits": splits,
                        "correlation": round(score, 3),
                        "dropped": dropped,
                    }
                )

    @functools.cached_property
    def _splits(self) -> dict[tuple[str, str], str]:
        return {(item.modality, item.name): item.in_split for item in self._found}

    def split_of_item(self, modality: str, name: str) -> str:
        """Split of an item of `material`."""
        if name.startswith("generated/"):
            return name.removeprefix("generated/").partition("-")[0]
        return self._splits[modality, name]

    def usable(self) -> list[Item]:
        """Items of which clips are made."""
        material = self.material
        return [
            item
            for item in self._found
            if (item.modality, item.name) in material
            and (item.modality, item.name) not in self._left_out
        ]

    def plan(self, num_clips: Mapping[str, int], seed: int) -> list[Clip]:
        pools: dict[tuple[str, str, str], list[Item]] = collections.defaultdict(list)
        for item in sorted(self.usable(), key=lambda item: item.name):
            pools[item.in_split, item.modality, item.category].append(item)
        clips = []
        for split in SPLITS:
            rng = np.random.default_rng([seed, SPLITS.index(split)])
            for row, category in enumerate(self._classes(split, num_clips, pools, rng)):
                clips.append(self._clip(split, row, category, pools, rng))
        return clips

    def _classes(
        self, split: str, num_clips: Mapping[str, int], pools: Mapping, rng: np.random.Generator
    ) -> np.ndarray:
        count = num_clips.get(split, 0)
        if self.frequencies == "balanced" or split == "test":
            return rng.permutation(np.arange(count) % len(self.categories))
        sizes = np.array([len(pools[split, "audio", name]) for name in self.categories])
        exact = count * sizes / max(sizes.sum(), 1)
        counts = np.floor(exact).astype(int)
        # What rounding down leaves goes to the classes that lost most.
        for place in np.argsort(counts - exact, kind="stable")[: count - counts.sum()]:
            counts[place] += 1
        return rng.permutation(np.repeat(np.arange(len(self.categories)), counts))

    def _clip(
        self, split: str, row: int, number: int, pools: Mapping, rng: np.random.Generator
    ) -> Clip:
        category = self.categories[number]
        length = int(rng.integers(4, NUM_SEGMENTS + 1))
        start = int(rng.integers(0, NUM_SEGMENTS - length + 1))

        def drawn(modality: str, kind: str, count: int = 1) -> list[str]:
            pool = [item.name for item in pools[split, modality, kind]]
            if not pool and kind == BACKGROUND:
                pool = [f"generated/{split}-{place}" for place in range(GENERATED)]
            if not pool:
                what = "a recording" if modality == "audio" else "a picture"
                held = self.test_root is not None and split == "test"
                raise ValueError(
                    f"split {split!r} must have {what} of {kind!r}; "
                    + (
                        f"{self.test_root} has none that is not in training or validation"
                        if held
                        else f"the files of {self.root} have none there"
                    )
                )
            return [pool[at] for at in rng.choice(len(pool), min(count, len(pool)), replace=False)]

        recording, backdrop = drawn("audio", category), drawn("audio", BACKGROUND)
        shown = drawn("video", category, int(rng.integers(2, 5)))
        scene = drawn("video", BACKGROUND)
        event = range(start, start + length)
        sources = {
            "audio": [(recording if at in event else backdrop)[0] for at in range(NUM_SEGMENTS)],
            "video": [
                shown[(at - start) * len(shown) // length] if at in event else scene[0]
                for at in range(NUM_SEGMENTS)
            ],
        }
        captions = pools[split, "text", category]
        attributes = {"text": "written"}
        if captions:
            name = captions[int(rng.integers(len(captions)))].name
            sources["text"] = [name]
            caption = self.material["text", name]
            attributes["text"] = self.captions
        elif self.missing_text == "prompt":
            caption = PROMPT.format(category)
            attributes["text"] = "prompt"
        else:
            caption = ""
            attributes["text"] = "missing"
        return Clip(
            id=f"{split}-{row:05d}",
            split=split,
            category=int(number),
            start=start,
            end=start + length,
            caption=caption,
            seed=int(rng.integers(2**53)),
            sources=sources,
            attributes=attributes,
        )

    def seconds_used(self, clip: Clip) -> list[int]:
        """For each segment the second of its recording that it has."""
        offset = int(clip.rng("audio").integers(MAX_SECONDS))
        lengths = [
            len(self.material["audio", name]) // SAMPLE_RATE for name in clip.sources["audio"]
        ]
        return [(offset + at) % length for at, length in enumerate(lengths)]

    def waveform(self, clip: Clip) -> np.ndarray:
        parts = []
        for name, second in zip(clip.sources["audio"], self.seconds_used(clip), strict=True):
            whole = self.material["audio", name]
            parts.append(whole[second * SAMPLE_RATE : (second + 1) * SAMPLE_RATE])
        return np.concatenate(parts) / np.float32(32767)

    def frames(self, clip: Clip) -> np.ndarray:
        return np.stack([self.material["video", name] for name in clip.sources["video"]])


def _content(item: Item) -> tuple[str, str]:
    return item.modality, sha256_file(item.path)
