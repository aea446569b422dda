"""The page and the table, from made-up results."""

from __future__ import annotations

import base64
import io
import json
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.reporting import charts, clip_media, page, probe_tables
from recipes.reporting.page import Details, Examples, Picture, Section, TableOf, Text
from recipes.reporting.tables import beside_published, of_texts, over_seeds
from recipes.runner import provenance

SCORES = {"audio->text": 0.25, "text->audio": 0.5, "audio->audio": 1.0, "text->text": 0.75}
RESULT = {"scores": SCORES, "toc": {"64": SCORES}, "continuous": SCORES, "chance": 0.1}


def test_columns_of_the_table_are_aligned() -> None:
    lines = probe_tables.score_lines(RESULT).splitlines()
    assert len(lines) == 5 and len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["audio->text", "25.0", "25.0", "25.0", "10.0"]


def test_mean_leaves_out_the_upper_bounds() -> None:
    assert probe_tables.mean_across(SCORES) == pytest.approx(0.375)


def test_page_asks_nothing_of_the_network() -> None:
    shown = page.render("a <title>", "b", [Section("c", [probe_tables.shaded_table(RESULT)])])
    assert "a &lt;title&gt;" in shown
    assert "http" not in shown and "url(" not in shown and "<script" not in shown
    assert shown.count("<tr>") == 5 and 'style="--share:25.0%">25.0</td>' in shown


def test_all_text_is_escaped() -> None:
    clip = {"category": "<bell>", "id": "test-1", "text": "a & b", "sound": b"RIFF"}
    table = of_texts("t", "<row>", {"x": {"a & b": "<1"}}, note="<note>")
    blocks = [
        Text("<text>"),
        TableOf(table),
        Examples([{"code": 3, "clips": {"text": clip}}]),
        Details("<fold>", {"<key>": 1}),
        Details("more", blocks=[Text("<inner>")]),
        Picture(b"PNG", "<alt>"),
    ]
    shown = page.render("t", "s", [Section("<part>", blocks)])
    for word in ("text", "row", "note", "bell", "fold", "key", "inner", "alt", "part"):
        assert f"&lt;{word}&gt;" in shown and f"<{word}>" not in shown
    assert "&lt;1" in shown and "a &amp; b" in shown
    assert f'src="data:audio/wav;base64,{base64.b64encode(b"RIFF").decode()}"' in shown


def test_pictures_reach_the_page_as_they_were_written() -> None:
    picture = charts.epoch_lines("loss", {"seed 0": {"training": [2.0, 1.0]}})
    shown = page.render("t", "s", [Section("c", [Picture(picture, "loss")])])
    address = re.search(r'src="data:image/png;base64,([^"]+)"', shown)
    assert address is not None and base64.b64decode(address[1]) == picture


def test_charts_take_numbers_not_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heights have all digits, and missing cells and published rows have their bars."""
    drawn = {}

    def bar(axes, places, heights, width, yerr=None, **options):
        drawn[options["label"]] = (list(heights), None if yerr is None else list(yerr))
        return original(axes, places, heights, width, yerr=yerr, **options)

    from matplotlib.axes import Axes

    from recipes.reporting.paper_tables import CODEBOOK_SIZE

    original = Axes.bar
    monkeypatch.setattr(Axes, "bar", bar)
    charts.grouped_bars(
        beside_published(CODEBOOK_SIZE, {"400": {"average": [50.123456, 50.123456]}}), "%"
    )
    assert drawn["average"][0] == [50.123456, 55.09]
    charts.grouped_bars(
        over_seeds("t", "row", {"x": {"a": [-1.25], "b": [1.0, 3.0]}, "y": {}}), "%"
    )
    assert drawn["a"][0][0] == -1.25 and np.isnan(drawn["a"][0][1]) and drawn["a"][1] is None
    assert drawn["b"][1][0] == pytest.approx(12.706, abs=1e-3) and drawn["b"][1][1] == 0


def test_pictures_have_the_colours_they_were_drawn_in() -> None:
    frames = np.zeros((3, 28, 28), "uint8")
    frames[1] = 255
    strip = np.asarray(Image.open(io.BytesIO(clip_media.film_strip(frames))).convert("L"))
    thirds = np.array_split(strip, 3, axis=1)
    assert thirds[1].mean() > 200 > 40 > thirds[0].mean()


def test_spectrogram_shows_a_tone_at_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 8000)
    picture = np.asarray(Image.open(io.BytesIO(clip_media.spectrogram(tone, 8000))).convert("L"))
    brightest = picture.mean(axis=1).argmax() / len(picture)
    assert brightest == pytest.approx(1 - 1000 / 4000, abs=0.02)


def test_sound_is_what_it_was() -> None:
    waveform = np.array([0.0, 0.5, -0.5, 1.0])
    with wave.open(io.BytesIO(clip_media.wav(waveform, 8000))) as file:
        samples = np.frombuffer(file.readframes(4), "<i2") / 32767
        assert file.getframerate() == 8000
    assert samples == pytest.approx(waveform, abs=1e-4)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    provenance.write_json(path, {"a": np.arange(2), "b": (np.float32(0.5), None)})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": [0, 1], "b": [0.5, None]}
    with pytest.raises(ValueError, match=r"`value.scores\[1\]` must be finite. Received: nan"):
        provenance.write_json(path, {"scores": [0.0, float("nan")]})
    with pytest.raises(TypeError):
        provenance.write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8"))["a"] == [0, 1]
    assert list(tmp_path.iterdir()) == [path]
