"""The parts of the page say what was found, and show names of strangers as they are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import keras_cmg
from recipes.serving.clip_search import ClipSearch, Query
from recipes.serving.page_parts import PageParts
from tests.recipes.serving.conftest import LABELS, LabelOfName, features_of, tone

MARKUP = "<img src=x onerror=alert(1)>.wav"


def test_an_answer_names_codes_and_labels(search: ClipSearch, tmp_path: Path) -> None:
    parts = PageParts(search)
    (found,) = search.search([Query("bark.wav", "audio", tone(tmp_path / "bark.wav", 0))], k=3)
    html = parts.answer(found, "preview.wav")
    text = " ".join(re.sub("<[^>]*>", " ", html).split())
    same = sum(bool(hit["shared_codes"]) for hit in found["found"]["audio"])
    assert f"{same} of 3 have the same code 100 % are labelled “dog”" in text
    assert f"It has code {found['codes'][0]}" in text
    assert html.count("✓ same code") == sum(
        bool(hit["shared_codes"]) for hits in found["found"].values() for hit in hits
    )
    marked = parts.code_map(found)
    assert marked.count("cmg-query") == 1
    assert f"code {found['codes'][0]}," in marked


def test_every_code_in_use_can_be_chosen(search: ClipSearch) -> None:
    parts = PageParts(search)
    chosen = [code for _, code in parts.code_choices()]
    assert chosen == sorted(search.positions)
    for code in chosen:
        use = search.code_use(code)
        for count in use["clips"].values():
            assert f"<h3>{count} " in parts.code(code)


def test_markup_in_names_is_escaped(encoder: keras_cmg.CrossModalEncoder, tmp_path: Path) -> None:
    index = encoder.new_index()
    rows = features_of(0, "audio")[None]
    index.add(encoder.encode("audio", features=rows, names=[MARKUP]), labels=["<b>dog</b>"])
    search = ClipSearch(encoder, index, LabelOfName(tmp_path))
    parts = PageParts(search)
    (found,) = search.search([Query(MARKUP, "text", text=LABELS[0])])
    code = found["found"]["audio"][0]["codes"][0]
    shown = parts.answer(found, None), parts.code(code), parts.error(MARKUP), parts.sharing()
    search.close()
    for html in shown:
        assert "<img" not in html and "<b>" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;.wav" in shown[0]


def test_codes_of_levels_are_numbered_one_level_after_another(tmp_path: Path) -> None:
    backbone = keras_cmg.models.SequenceBackbone(
        ("audio",),
        embedding_dim=8,
        quantizer=keras_cmg.layers.ResidualQuantizer(
            keras_cmg.layers.Codebook(num_embeddings=4, embedding_dim=8), num_levels=2
        ),
    )
    backbone.build({"audio": (None, None, 16)})
    encoder = keras_cmg.CrossModalEncoder(backbone)
    index = encoder.new_index()
    rows = np.stack([features_of(label, "audio") for label in range(3)])
    index.add(encoder.encode("audio", features=rows))
    search = ClipSearch(encoder, index, lambda *given: [rows[0]])
    parts = PageParts(search)
    (found,) = search.search([Query("a.wav", "audio", tone(tmp_path / "a.wav", 0))])
    search.close()
    first, second = found["codes"]
    assert 0 <= first < 4 <= second < 8
    assert 0 < found["code"]["margin"] <= 1 and found["code"]["code"] in found["codes"]
    indices = encoder.encode("audio", features=rows).indices
    for level, code in enumerate((first, second)):
        uses = int(np.sum(indices[:, level] == indices[0, level]))
        assert search.code_use(code)["clips"] == {"audio": uses}
    assert found["found"]["audio"][0]["score"] == pytest.approx(1, abs=1e-4)
    assert f"The query has code {first}, {second}." in parts.code_map(found)
    assert " · ".join(map(str, found["codes"])) in parts.answer(found, None)
