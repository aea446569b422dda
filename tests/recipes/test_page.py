"""The page and the table, from made-up results."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from PIL import Image

from recipes.reporting import charts, clip_media, page, probe_tables
from recipes.reporting.page import Details, Examples, Picture, Section, Shares, TableOf, Text
from recipes.reporting.quickstart_page import example_blocks
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
    clip = {"category": "<bell>", "id": "test-1", "text": "a & b", "sound": b"ID3"}
    table = of_texts("t", "<row>", {"x": {"a & b": "<1"}}, note="<note>")
    blocks = [
        Text("<text>"),
        TableOf(table),
        Examples([{"code": 3, "agrees": True, "clips": {"text": clip}}]),
        Details("<fold>", {"<key>": 1}),
        Details("more", blocks=[Text("<inner>")]),
        Picture(charts.png(Figure(figsize=(1, 1))), "<alt>"),
    ]
    shown = page.render("t", "s", [Section("<part>", blocks)])
    for word in ("text", "row", "note", "bell", "fold", "key", "inner", "alt", "part"):
        assert f"&lt;{word}&gt;" in shown and f"<{word}>" not in shown
    assert "&lt;1" in shown and "a &amp; b" in shown
    assert f'src="data:audio/mpeg;base64,{base64.b64encode(b"ID3").decode()}"' in shown


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


def test_frames_have_the_colours_and_the_order_they_were_drawn_in() -> None:
    frames = np.zeros((10, 28, 28), "uint8")
    frames[6] = 255
    sheet = np.asarray(Image.open(io.BytesIO(clip_media.contact_sheet(frames))).convert("RGBA"))
    assert sheet.shape[:2] == (2 * 28 + 1, 5 * 28 + 4)
    tiles = sheet[29:, :, :3].mean(axis=-1)
    assert tiles[:, 29:57].mean() > 250 and tiles[:, :28].mean() < 5 > sheet[:28, ..., 0].mean()
    assert sheet[28].max(axis=0)[3] < 128 < sheet[0, 0, 3]


def test_spectrogram_shows_a_tone_at_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 8000)
    picture = np.asarray(clip_media.spectrogram(tone).convert("L"))
    brightest = picture.mean(axis=1).argmax() / len(picture)
    assert brightest == pytest.approx(1 - 1000 / 4000, abs=0.02)


def test_sound_keeps_its_pitch_and_length() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 8000)
    content = clip_media.mp3(tone, 8000)
    assert page.media_type(content) == "audio/mpeg"
    samples, rate = soundfile.read(io.BytesIO(content))
    assert rate == 8000 and len(samples) == pytest.approx(16000, abs=2500)
    middle = samples[4000:12000]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(1000, abs=2)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_examples_say_whether_their_labels_differ() -> None:
    def example(*categories: str) -> dict:
        clips = {
            name: {"category": category, "id": name, "text": "t"}
            for name, category in zip(("audio", "text"), categories, strict=True)
        }
        return {"code": 1, "agrees": len(set(categories)) == 1, "clips": clips}

    blocks = example_blocks([example("bell", "bell"), example("bell", "dog")], 0.75)
    shown = page.render("t", "s", [Section("c", blocks)])
    assert "✓ same label: bell" in shown and "✗ labels differ: bell, dog" in shown
    assert "the same in 1 of these 2" in shown and "75.0 % have its label" in shown


def test_shares_are_told_in_figures_and_to_screen_readers() -> None:
    values = {"every modality": 0.75, "some": 0.0, "one modality": 0.25}
    kinds = ("shared", "partial", "specific")
    shown = page.render("t", "s", [Section("c", [Shares("Shares", values, kinds)])])
    label = "Shares: every modality 75.0 %, some 0.0 %, one modality 25.0 %"
    assert f'aria-label="{label}"' in shown
    assert '<span class="shared" style="flex-grow:0.7500">' in shown
    assert 'class="partial" style' not in shown and "<dd>25.0 %</dd>" in shown


def test_dark_pages_turn_charts_round_and_leave_photographs() -> None:
    chart = charts.epoch_lines("loss", {"": {"training": [2.0, 1.0]}})
    blocks = [Picture(chart, "chart"), Picture(chart, "photo", photo=True)]
    shown = page.render("t", "s", [Section("c", blocks)])
    assert "prefers-color-scheme: dark" in shown and "img.chart { filter: invert(1)" in shown
    assert re.findall(r'class="(\w+)" alt="(\w+)"', shown) == [
        ("chart", "chart"),
        ("photo", "photo"),
    ]


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
