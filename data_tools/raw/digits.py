"""Real digits, spoken (FSDD) and handwritten (MNIST), paired by class into ten-second clips."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.raw import digits_sources as raw
from data_tools.raw.base import Clip, RawDataset, plan_events
from data_tools.raw.waveforms import coloured_noise, fit_length, normalize_loudness

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

TEMPLATES = (
    "{}",
    "the digit {}",
    "the number {}",
    "a handwritten {}",
    "someone says {}",
    "a voice says {}",
    "the word {} is spoken",
    "a spoken and written {}",
    "somebody reads the number {} aloud",
    "we hear {} and see it written",
    "a person writes {} and says it",
    "the figure {} appears on screen",
    "a white {} on a dark ground",
    "several people say {} one after another",
    "{} is said again and again",
    "{} in many hands and voices",
    "{} appears while it is read out",
    "first silence then the number {}",
    "listen to the digit {} being repeated",
    "a short recording of the word {}",
    "different speakers pronounce the digit {}",
    "pen strokes that form a {}",
    "noise and then a clear {}",
    "you can see and hear a {}",
)

VAL_IMAGES = 10_000
"""Number of validation images: the last training images of MNIST."""


class Digits(RawDataset):
    """Clips of one digit, spoken and shown in a span of seconds, with noise elsewhere.

    Every segment of the span has another recording and another image. No recording and no image
    is shared between splits.

    Args:
        root: folder with `fsdd.zip` and the four MNIST files; downloaded into the cache if None.
        split: "official": FSDD index 0-4 test, 5-9 validation, the rest train, all speakers in
            each. "speaker": one unseen speaker for test, another for validation.
        test_speaker: test speaker of the split by speaker. With the default, the accuracy is
            closest to the mean over the six speakers.
        val_speaker: validation speaker of the split by speaker.

    Raises:
        FileNotFoundError: if a raw file is missing.
        ValueError: if a raw file is damaged or unknown, a speaker or split is unknown.

    Example:
        >>> from data_tools.raw.registry import open_raw
        >>> open_raw("digits", split="speaker").categories[3]
        'three'

    References:
        Jackson et al., Free Spoken Digit Dataset, 2018. LeCun et al., MNIST, 1998.
    """

    name = "digits"
    categories = WORDS
    sample_rate = raw.SAMPLE_RATE
    default_num_clips: Mapping[str, int] = {"train": 3000, "val": 500, "test": 1000}
    split_names = ("official", "speaker")

    def __init__(
        self,
        root: str | None = None,
        split: str | None = None,
        test_speaker: str = "nicolas",
        val_speaker: str = "lucas",
    ) -> None:
        super().__init__(root, split)
        if test_speaker == val_speaker:
            raise ValueError(
                "`test_speaker` and `val_speaker` must differ. Received: "
                f"{test_speaker!r} and {val_speaker!r}"
            )
        self.test_speaker = test_speaker
        self.val_speaker = val_speaker

    def options(self) -> dict[str, Any]:
        options = {"split": self.split}
        if self.split == "speaker":
            options |= {"test_speaker": self.test_speaker, "val_speaker": self.val_speaker}
        return options

    @functools.cached_property
    def _folder(self) -> Path:
        return raw.find(self.root)

    @functools.cached_property
    def _recordings(self) -> dict[str, np.ndarray]:
        path = self._folder / raw.FSDD
        waveforms, digest = raw.read_recordings(path)
        raw.require(path, digest)
        return waveforms

    @functools.cached_property
    def _images(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {
            part: (
                self._read_idx(f"{part}-images-idx3-ubyte.gz"),
                self._read_idx(f"{part}-labels-idx1-ubyte.gz"),
            )
            for part in ("train", "t10k")
        }

    def _read_idx(self, name: str) -> np.ndarray:
        values, digest = raw.read_idx(self._folder / name)
        raw.require(self._folder / name, digest)
        return values

    def sources(self) -> dict[str, str]:
        # Reading compares each file with its known checksum.
        _ = self._recordings, self._images
        return dict(raw.SHA256)

    def _split_of(self, recording: str) -> str:
        _, speaker, index = recording.split("_")
        if self.split == "speaker":
            held_out = {self.test_speaker: "test", self.val_speaker: "val"}
            return held_out.get(speaker, "train")
        return "test" if int(index) < 5 else "val" if int(index) < 10 else "train"

    def _pools(self) -> dict[tuple[str, int], dict[str, list[str]]]:
        """Returns the names of the recordings and images of each split and class."""
        speakers = {name.split("_")[1] for name in self._recordings}
        for argument in ("test_speaker", "val_speaker"):
            if self.split == "speaker" and getattr(self, argument) not in speakers:
                raise ValueError(
                    f"`{argument}` must be one of {sorted(speakers)}. "
                    f"Received: {getattr(self, argument)!r}"
                )
        pools: dict[tuple[str, int], dict[str, list[str]]] = {
            (split, digit): {"recordings": [], "images": []}
            for split in SPLITS
            for digit in range(10)
        }
        for name in sorted(self._recordings):
            pools[self._split_of(name), int(name[0])]["recordings"].append(name)
        for part, (images, labels) in self._images.items():
            first_val = max(len(images) - VAL_IMAGES, len(images) // 2)
            for row, digit in enumerate(labels):
                split = "test" if part == "t10k" else "val" if row >= first_val else "train"
                pools[split, int(digit)]["images"].append(f"{part}:{row}")
        return pools

    def plan(self, num_clips: Mapping[str, int], seed: int) -> list[Clip]:
        pools = self._pools()

        def details(split, digit, length, rng):
            caption = TEMPLATES[rng.integers(len(TEMPLATES))].format(WORDS[digit])
            sources = {}
            for kind, names in pools[split, digit].items():
                if len(names) < length:
                    raise ValueError(
                        f"split {split!r} must have at least {length} {kind} of digit {digit} "
                        f"for one clip. Received: {len(names)}"
                    )
                sources[kind] = [names[i] for i in rng.choice(len(names), length, replace=False)]
            return {"caption": caption, "sources": sources}

        return plan_events(num_clips, len(WORDS), seed, details)

    def waveform(self, clip: Clip) -> np.ndarray:
        rng = clip.rng("audio")
        level, tilt = rng.uniform(0.002, 0.008), rng.uniform(0, 0.9)
        result = coloured_noise(NUM_SEGMENTS * self.sample_rate, level, tilt, rng)
        segments = result.reshape(NUM_SEGMENTS, self.sample_rate)
        for segment, name in zip(
            range(clip.start, clip.end), clip.sources["recordings"], strict=True
        ):
            speech = normalize_loudness(self._recordings[name])
            segments[segment] += fit_length(speech, self.sample_rate, rng)
        return np.clip(result, -1, 1)

    def frames(self, clip: Clip) -> np.ndarray:
        rng = clip.rng("video")
        coarse = rng.integers(0, 48, (7, 7), dtype=np.uint8)
        texture = np.asarray(Image.fromarray(coarse).resize((28, 28), Image.Resampling.BILINEAR))
        result = np.repeat(texture[None], NUM_SEGMENTS, axis=0)
        for segment, name in zip(range(clip.start, clip.end), clip.sources["images"], strict=True):
            part, row = name.split(":")
            np.maximum(result[segment], self._images[part][0][int(row)], out=result[segment])
        return result
