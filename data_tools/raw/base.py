"""The interface of raw data sets: a plan of clips, and the signals of each planned clip."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from data_tools.io.constants import NUM_SEGMENTS, SPLITS


@dataclasses.dataclass(frozen=True)
class Clip:
    """The description of a clip, from which it is rendered.

    Args:
        id: name, unique in the data set.
        split: "train", "val" or "test".
        category: class index.
        start: first segment of the event (second).
        end: segment after the last one of the event (second).
        caption: sentence that describes the event.
        seed: seed of everything random in its signals.
        sources: raw material by kind, one entry per event segment.
        attributes: what else was drawn for the clip, by name.

    Example:
        >>> Clip("test-00000", "test", 3, 2, 9, "a three is spoken", 7).end
        9
    """

    id: str
    split: str
    category: int
    start: int
    end: int
    caption: str
    seed: int
    sources: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)

    def rng(self, signal: str) -> np.random.Generator:
        """Returns the random generator of one signal, "audio" or "video"."""
        return np.random.default_rng([self.seed, ("audio", "video").index(signal)])


class RawDataset(abc.ABC):
    """Base class of the raw data sets.

    Attributes:
        name: name on the command line.
        categories: class names, in the order of the label columns.
        sample_rate: sample rate of the waveforms, in hertz.
        default_num_clips: default number of clips per split.
        split_names: names of its splits, the default first.

    Args:
        root: folder of the raw files, if there are any.
        split: one of `split_names`; the first if None.

    Raises:
        ValueError: if the split is unknown.

    Example:
        >>> from data_tools.raw.registry import open_raw
        >>> open_raw("synthetic").sample_rate
        8000
    """

    name: str
    categories: tuple[str, ...]
    sample_rate: int
    default_num_clips: Mapping[str, int]
    split_names: tuple[str, ...] = ("official",)

    def __init__(self, root: str | None = None, split: str | None = None) -> None:
        split = self.split_names[0] if split is None else split
        if split not in self.split_names:
            raise ValueError(
                f"`split` of data set {self.name!r} must be one of {self.split_names}. "
                f"Received: {split!r}"
            )
        self.root = root
        self.split = split

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments, besides the root, that create this data set."""
        return {"split": self.split}

    def sources(self) -> dict[str, str]:
        """Returns the SHA-256 checksum of each raw file, by file name."""
        return {}

    @abc.abstractmethod
    def plan(self, num_clips: Mapping[str, int], seed: int) -> list[Clip]:
        """Plans all clips, split after split; raw data and arguments determine the result."""

    @abc.abstractmethod
    def waveform(self, clip: Clip) -> np.ndarray:
        """Renders the audio of a clip: (10 * sample_rate,) float32 in [-1, 1]."""

    @abc.abstractmethod
    def frames(self, clip: Clip) -> np.ndarray:
        """Renders the pictures of a clip, one per segment: (10, height, width[, 3]) uint8."""


def plan_events(
    num_clips: Mapping[str, int],
    num_categories: int,
    seed: int,
    details: Callable[[str, int, int, np.random.Generator], Mapping[str, Any]],
) -> list[Clip]:
    """Plans clips with one event of 4 to 10 segments each, classes in equal shares.

    Args:
        num_clips: clips per split.
        num_categories: number of classes.
        seed: seed of the whole plan; the splits draw independently of each other's size.
        details: `(split, category, length, rng) -> fields` gives the caption of a clip, and its
            sources or attributes if it has any.

    Returns:
        The clips, split after split.

    Example:
        >>> clips = plan_events({"val": 3}, 2, 0, lambda *arguments: {"caption": "a cat"})
        >>> [clip.id for clip in clips]
        ['val-00000', 'val-00001', 'val-00002']
        >>> all(4 <= clip.end - clip.start <= 10 for clip in clips)
        True
    """
    clips = []
    for split in SPLITS:
        count = num_clips.get(split, 0)
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        for row, category in enumerate(rng.permutation(np.arange(count) % num_categories)):
            length = int(rng.integers(4, NUM_SEGMENTS + 1))
            start = int(rng.integers(0, NUM_SEGMENTS - length + 1))
            fields = details(split, int(category), length, rng)
            clips.append(
                Clip(
                    id=f"{split}-{row:05d}",
                    split=split,
                    category=int(category),
                    start=start,
                    end=start + length,
                    seed=int(rng.integers(2**53)),
                    **fields,
                )
            )
    return clips
