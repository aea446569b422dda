"""The page and the table, from made-up results."""

from __future__ import annotations

import base64
import io
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.reporting import figures, report, scores
from recipes.runner import provenance

SCORES = {"audio->text": 0.25, "text->audio": 0.5, "audio->audio": 1.0, "text->text": 0.75}
RESULT = {"scores": SCORES, "toc": {"64": SCORES}, "continuous": SCORES, "chance": 0.1}


def content(address: str) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(address.partition(",")[2]))


def test_columns_of_the_table_are_aligned() -> None:
    lines = scores.score_lines(RESULT).splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["audio->text", "25.0", "25.0", "25.0", "10.0"]


def test_mean_leaves_out_the_upper_bounds() -> None:
    assert scores.mean_across(SCORES) == pytest.approx(0.375)


def test_page_asks_nothing_of_the_network() -> None:
    page = report.page("a <title>", "b", report.section("c", scores.score_table(RESULT)))
    assert "a &lt;title&gt;" in page
    assert "http" not in page and "url(" not in page and "<script" not in page


def test_pictures_have_the_colours_they_were_drawn_in() -> None:
    frames = np.zeros((3, 28, 28), "uint8")
    frames[1] = 255
    strip = np.asarray(Image.open(content(figures.film_strip(frames))).convert("L"))
    thirds = np.array_split(strip, 3, axis=1)
    assert thirds[1].mean() > 200 > 40 > thirds[0].mean()


def test_spectrogram_shows_a_tone_at_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 8000)
    picture = np.asarray(Image.open(content(figures.spectrogram(tone, 8000))).convert("L"))
    brightest = picture.mean(axis=1).argmax() / len(picture)
    assert brightest == pytest.approx(1 - 1000 / 4000, abs=0.02)


def test_sound_is_what_it_was() -> None:
    waveform = np.array([0.0, 0.5, -0.5, 1.0])
    with wave.open(content(figures.sound(waveform, 8000))) as file:
        samples = np.frombuffer(file.readframes(4), "<i2") / 32767
        assert file.getframerate() == 8000
    assert samples == pytest.approx(waveform, abs=1e-4)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    provenance.write_json(path, {"a": np.arange(2), "b": (np.float32(0.5), None)})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": [0, 1], "b": [0.5, None]}
    with pytest.raises(ValueError, match=r"`value.scores\[1\]` must be finite; received: nan"):
        provenance.write_json(path, {"scores": [0.0, float("nan")]})
    with pytest.raises(TypeError):
        provenance.write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["a"] == [0, 1]
    assert list(tmp_path.iterdir()) == [path]
