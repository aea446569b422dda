"""Invented clips: reproducible, varied, inside the picture."""

from __future__ import annotations

import numpy as np
import pytest

from data_tools.raw import synthetic_pictures as pictures
from data_tools.raw import synthetic_sounds as sounds
from data_tools.raw.synthetic import MOTIONS, OBJECTS, TEMPLATES, Synthetic, _path


def test_signals_lie_in_the_event() -> None:
    dataset = Synthetic()
    for clip in dataset.plan({"train": 10}, 0):
        waveform, frames = dataset.waveform(clip), dataset.frames(clip)
        assert waveform.shape == (80000,)
        assert np.abs(waveform).max() <= 1
        assert frames.shape == (10, 56, 56, 3)
        assert frames.dtype == np.uint8
        event = np.zeros(10, bool)
        event[clip.start : clip.end] = True
        background = frames[~event]
        assert (background == background[:1]).all()
        assert np.all((frames.max((1, 2, 3)) > 120) == event)
        loudness = waveform.reshape(10, -1).std(1)
        if not event.all():
            assert loudness[event].min() > loudness[~event].max()
        np.testing.assert_array_equal(waveform, dataset.waveform(clip))
        np.testing.assert_array_equal(frames, dataset.frames(clip))


def test_classes_come_in_equal_shares_and_vary() -> None:
    clips = Synthetic().plan({"train": 100}, 0)
    assert np.bincount([clip.category for clip in clips]).tolist() == [10] * 10
    assert len({clip.attributes["colour"] for clip in clips}) == len(pictures.COLOURS)
    assert len({clip.attributes["motion"] for clip in clips}) == len(MOTIONS)


def test_captions_name_the_shape_or_the_sound() -> None:
    for template in TEMPLATES:
        assert "{shape}" in template or "{sound}" in template
    for clip in Synthetic().plan({"train": 100}, 1):
        sound = tuple(OBJECTS)[clip.category]
        assert sound in clip.caption.split() or OBJECTS[sound] in clip.caption.split()


@pytest.mark.parametrize("kind", OBJECTS)
def test_sounds_are_bounded_and_varied(kind: str) -> None:
    one, other = (sounds.render_sound(kind, np.random.default_rng(seed)) for seed in (0, 1))
    assert one.shape == (8000,)
    assert 0.1 < np.abs(one).max() <= 1
    assert not np.array_equal(one, other)


def test_unknown_sound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`kind` must be a known sound\. Received: 'cow'"):
        sounds.render_sound("cow", np.random.default_rng(0))


@pytest.mark.parametrize("shape", pictures.SHAPES)
def test_shapes_are_drawn_about_their_centre(shape: str) -> None:
    from PIL import Image

    picture = pictures.draw_shape(
        Image.new("RGB", (56, 56)), shape, (255, 255, 255), (20, 30), 12, 0.0
    )
    inked = np.argwhere(np.asarray(picture)[..., 0] > 128)
    assert 50 < len(inked) < 3.3 * 1.2**2 * 144
    np.testing.assert_allclose(inked.mean(0), (30, 20), atol=3.5)


@pytest.mark.parametrize("motion", MOTIONS)
def test_paths_stay_in_the_picture(motion: str) -> None:
    for seed in range(20):
        path = _path(motion, 12.0, np.random.default_rng(seed))
        assert path.shape == (10, 2)
        assert path.min() >= 12 - 1e-9
        assert path.max() <= 56 - 12 + 1e-9
        if motion != "rests":
            assert np.ptp(path, axis=0).max() > 1
