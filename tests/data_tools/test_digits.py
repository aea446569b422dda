"""Clips of digits: events, separate splits, the right material; on real data where it is found."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from data_tools.features.text import words
from data_tools.raw.base import Clip
from data_tools.raw.digits import TEMPLATES, WORDS, Digits
from data_tools.raw.registry import open_raw

NUM_CLIPS = {"train": 30, "val": 10, "test": 20}


def material(clips: list[Clip], split: str) -> set[str]:
    chosen = (clip for clip in clips if clip.split == split)
    return {name for clip in chosen for names in clip.sources.values() for name in names}


@pytest.fixture
def digits(known_digits: Path) -> Digits:
    return Digits(str(known_digits))


def test_plan_is_a_function_of_the_seed(digits: Digits, known_digits: Path) -> None:
    clips = digits.plan(NUM_CLIPS, 3)
    assert clips == Digits(str(known_digits)).plan(NUM_CLIPS, 3)
    assert clips != digits.plan(NUM_CLIPS, 4)
    longer = digits.plan({**NUM_CLIPS, "train": 40}, 3)
    assert longer[40:] == clips[30:], "the size of one split must not change another"


def test_clips_have_one_event_of_four_to_ten_seconds(digits: Digits) -> None:
    clips = digits.plan(NUM_CLIPS, 0)
    assert len({clip.id for clip in clips}) == len(clips) == 60
    for clip in clips:
        length = clip.end - clip.start
        assert clip.start >= 0
        assert clip.end <= 10
        assert 4 <= length <= 10
        for names in clip.sources.values():
            assert len(set(names)) == length, "another recording and image in every segment"
        assert all(name[0] == str(clip.category) for name in clip.sources["recordings"])
        assert WORDS[clip.category] in clip.caption.split()


@pytest.mark.parametrize("split", ["official", "speaker"])
def test_splits_share_no_material(known_digits: Path, split: str) -> None:
    digits = Digits(str(known_digits), split, test_speaker="eve", val_speaker="bob")
    clips = digits.plan(NUM_CLIPS, 0)
    parts = {name: material(clips, name) for name in NUM_CLIPS}
    for one, other in itertools.combinations(parts.values(), 2):
        assert not one & other
    recordings = {name: {item for item in part if "_" in item} for name, part in parts.items()}
    if split == "speaker":
        speakers = {k: {item.split("_")[1] for item in part} for k, part in recordings.items()}
        assert speakers == {"train": {"ann"}, "val": {"bob"}, "test": {"eve"}}
    else:
        assert {int(item.split("_")[2]) for item in recordings["test"]} <= set(range(5))
        assert {int(item.split("_")[2]) for item in recordings["val"]} <= set(range(5, 10))


def test_signals_lie_in_the_event(digits: Digits) -> None:
    for clip in digits.plan({"train": 5}, 0):
        waveform, frames = digits.waveform(clip), digits.frames(clip)
        assert waveform.shape == (80000,)
        assert waveform.dtype == np.float32
        assert np.abs(waveform).max() <= 1
        assert frames.shape == (10, 28, 28)
        assert frames.dtype == np.uint8
        event = np.zeros(10, bool)
        event[clip.start : clip.end] = True
        loudness = waveform.reshape(10, -1).std(1)
        assert np.all((loudness > 0.015) == event)
        assert np.all((frames.max((1, 2)) > 100) == event)
        np.testing.assert_array_equal(waveform, digits.waveform(clip))
        np.testing.assert_array_equal(frames, digits.frames(clip))


def test_templates_are_many_and_keep_the_digit_within_ten_words() -> None:
    assert len(set(TEMPLATES)) >= 20
    for template in TEMPLATES:
        assert "three" in words(template.format("three"))[:10]


def test_wrong_arguments_are_named(known_digits: Path) -> None:
    root = str(known_digits)
    with pytest.raises(ValueError, match="`name` must be one of"):
        open_raw("letters")
    with pytest.raises(ValueError, match="`split` of data set 'digits' must be one of"):
        Digits(root, split="random")
    with pytest.raises(ValueError, match="must differ"):
        Digits(root, split="speaker", test_speaker="ann", val_speaker="ann")
    with pytest.raises(ValueError, match=r"`test_speaker` must be one of \['ann', 'bob', 'eve'\]"):
        Digits(root, split="speaker").plan(NUM_CLIPS, 0)


def test_too_little_material_is_named(known_digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = Digits(str(known_digits))
    few = {name: value for name, value in digits._recordings.items() if int(name[-1]) != 7}
    monkeypatch.setattr(digits, "_recordings", dict(list(few.items())[:3]))
    with pytest.raises(ValueError, match=r"must have at least .* recordings of digit"):
        digits.plan(NUM_CLIPS, 0)


def test_real_recordings_and_images(digits_root: Path) -> None:
    digits = Digits(str(digits_root))
    clips = digits.plan({"train": 200, "val": 100, "test": 100}, 0)
    parts = [material(clips, split) for split in ("train", "val", "test")]
    for one, other in itertools.combinations(parts, 2):
        assert not one & other
    labels = {part: labels for part, (_, labels) in digits._images.items()}
    for clip in clips[:50]:
        for name in clip.sources["images"]:
            part, row = name.split(":")
            assert labels[part][int(row)] == clip.category
    assert len(digits._recordings) == 3000
