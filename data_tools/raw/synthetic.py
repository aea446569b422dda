"""Synthetic data set: ten invented objects with pictures, sounds and captions."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from data_tools.io.constants import NUM_SEGMENTS
from data_tools.raw import synthetic_pictures as pictures
from data_tools.raw import synthetic_sounds as sounds
from data_tools.raw.base import Clip, RawDataset, plan_events
from data_tools.raw.waveforms import coloured_noise

OBJECTS = {
    "bell": "triangle",
    "siren": "star",
    "flute": "circle",
    "drum": "square",
    "buzzer": "cross",
    "alarm": "arrow",
    "engine": "diamond",
    "bird": "crescent",
    "steam": "hexagon",
    "organ": "ring",
}
"""Sound of each class, which is its name, to its shape."""

MOTIONS = ("rests", "drifts", "circles", "bounces")

TEMPLATES = (
    "a {colour} {shape} {motion} and sounds like a {sound}",
    "the {sound} of a {colour} {shape}",
    "we hear a {sound} while a {shape} {motion}",
    "a {shape} {motion}",
    "{colour} {shape} with the sound of a {sound}",
    "a {sound} is heard",
    "on a dark ground a {colour} {shape} {motion}",
    "there is a {sound} and a {shape}",
    "something {colour} {motion} to the sound of a {sound}",
    "after some noise a {shape} {motion} like a {sound}",
)


class Synthetic(RawDataset):
    """Clips of moving shapes with synthesised sounds and captions, with noise outside of a span.

    A class is a shape and a timbre. Place, size, colour, motion, turn, pitch, speed, level, onset
    and noise vary freely; the caption names the shape, the sound or both.

    Args:
        root: unused, as there are no raw files.
        split: "official", the only one: clips are drawn independently.

    Example:
        >>> dataset = Synthetic()
        >>> clip = dataset.plan({"train": 1}, seed=0)[0]
        >>> dataset.waveform(clip).shape, dataset.frames(clip).shape
        ((80000,), (10, 56, 56, 3))
    """

    name = "synthetic"
    categories = tuple(OBJECTS)
    sample_rate = sounds.SAMPLE_RATE
    default_num_clips: Mapping[str, int] = {"train": 1500, "val": 300, "test": 500}

    def plan(self, num_clips: Mapping[str, int], seed: int) -> list[Clip]:
        def details(split, category, length, rng):
            sound = self.categories[category]
            colour, motion = str(rng.choice(list(pictures.COLOURS))), str(rng.choice(MOTIONS))
            caption = TEMPLATES[rng.integers(len(TEMPLATES))].format(
                sound=sound, shape=OBJECTS[sound], colour=colour, motion=motion
            )
            caption = re.sub(r"\ba (?=[aeiou])", "an ", caption)
            return {"caption": caption, "attributes": {"colour": colour, "motion": motion}}

        return plan_events(num_clips, len(self.categories), seed, details)

    def waveform(self, clip: Clip) -> np.ndarray:
        rng = clip.rng("audio")
        level, tilt = rng.uniform(0.003, 0.02), rng.uniform(0, 0.9)
        result = coloured_noise(NUM_SEGMENTS * self.sample_rate, level, tilt, rng)
        segments = result.reshape(NUM_SEGMENTS, self.sample_rate)
        for segment in range(clip.start, clip.end):
            segments[segment] += sounds.render_sound(self.categories[clip.category], rng)
        return np.clip(result, -1, 1)

    def frames(self, clip: Clip) -> np.ndarray:
        rng = clip.rng("video")
        background = pictures.render_background(rng)
        shape = OBJECTS[self.categories[clip.category]]
        tint = np.array(pictures.COLOURS[clip.attributes["colour"]])
        radius, turn = rng.uniform(12, 18), rng.uniform(-0.25, 0.25)
        path = _path(clip.attributes["motion"], radius, rng)
        result = np.repeat(np.asarray(background)[None], NUM_SEGMENTS, axis=0)
        for segment in range(clip.start, clip.end):
            red, green, blue = np.clip(tint + rng.integers(-25, 26, 3), 0, 255).tolist()
            x, y = path[segment].tolist()
            angle = turn + rng.uniform(-0.1, 0.1)
            picture = pictures.draw_shape(
                background, shape, (red, green, blue), (x, y), radius, angle
            )
            result[segment] = np.asarray(picture)
        shown = result[clip.start : clip.end]
        noise = 6 * rng.standard_normal(shown.shape, dtype=np.float32)
        shown[:] = np.clip(shown + noise, 0, 255)
        return result


def _path(motion: str, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the centre of the shape in each segment, (10, 2) pixels, with the shape inside."""
    low, high = radius, pictures.SIDE - radius
    time = np.linspace(0, 1, NUM_SEGMENTS)[:, None]
    start, end = rng.uniform(low, high, (2, 2))
    if motion == "rests":
        path = start + 0 * time * end
    elif motion == "drifts":
        path = start + time * (end - start)
    elif motion == "circles":
        angle = 2 * np.pi * (time + rng.uniform())
        middle, reach = (low + high) / 2, (high - low) / 2 * rng.uniform(0.4, 1)
        path = middle + reach * np.concatenate([np.cos(angle), np.sin(angle)], 1)
    else:
        height = np.abs(np.cos(2 * np.pi * (time + rng.uniform())))
        path = np.concatenate(
            [start[0] + time * (end[0] - start[0]), high - (high - low) * height], 1
        )
    return path
