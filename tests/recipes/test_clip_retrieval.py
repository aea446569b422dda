"""Retrieval across modalities: recall by hand, ties, and what the tables show."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.protocol import clip_retrieval
from recipes.protocol.clip_retrieval import Vectors
from recipes.reporting import recall_tables


def test_recall_by_hand() -> None:
    video = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], "float32")
    text = np.array([[1.0, 0.1], [0.1, 1.0], [1.0, -0.2]], "float32")
    found = clip_retrieval.recalls(
        Vectors({"video": {"codes": video}, "text": {"codes": text}}, None)
    )
    # The third text is nearest to the first video, the third video is nearest to neither.
    assert list(found) == ["text-video"]
    assert found["text-video"]["codes"]["forward"]["R@1"] == pytest.approx(2 / 3)
    assert found["text-video"]["codes"]["backward"]["R@1"] == pytest.approx(2 / 3)
    assert found["text-video"]["codes"]["forward"]["R@5"] == 1


def test_equal_codes_tie_exactly() -> None:
    random = np.random.default_rng(0)
    code = random.normal(size=(1, 256)).astype("float32")
    other = random.normal(size=(1, 256)).astype("float32")
    codes = np.concatenate([code] * 30 + [other] * 10)
    scores = clip_retrieval.cosine(codes, codes)
    assert len(np.unique(scores[:30, :30])) == 1
    both = {"codes": codes}
    found = clip_retrieval.recalls(Vectors({"audio": both, "text": both}, None))["audio-text"]
    assert found["codes"]["forward"]["R@1"] == pytest.approx((30 / 30 + 10 / 10) / 40)
    assert found["chance"]["forward"]["R@10"] == pytest.approx(10 / 40)


def test_same_class_counts_any_clip_of_it() -> None:
    codes = np.eye(4, dtype="float32")[[0, 0, 1, 1]]
    vectors = Vectors({"audio": {"codes": codes}, "text": {"codes": codes}}, np.array([0, 0, 1, 1]))
    partner, of_class = (
        clip_retrieval.recalls(vectors),
        clip_retrieval.recalls(vectors, same_class=True),
    )
    assert partner["audio-text"]["codes"]["forward"]["R@1"] == pytest.approx(0.5)
    assert of_class["audio-text"]["codes"]["forward"]["R@1"] == 1


def result_of(toc: dict[str, str]) -> dict:
    views = {"continuous": 0.1, "quantized": 0.2, "64": 0.3, "chance": 0.0}
    if not toc:
        views = {"continuous": 0.1, "chance": 0.0}
    pairs = ("audio-text", "audio-video", "text-video")
    ranks = {f"R@{k}": 1.0 for k in clip_retrieval.RANKS}
    return {
        "toc": toc,
        "partner": {
            pair: {
                view: {
                    direction: dict.fromkeys(ranks, value)
                    for direction in clip_retrieval.DIRECTIONS
                }
                for view, value in views.items()
            }
            for pair in pairs
        },
    }


def test_tables_have_toc_only_where_there_are_codes() -> None:
    pairs = ("audio-text", "audio-video", "text-video")
    with_codes = recall_tables.rows([result_of(dict.fromkeys(pairs, "64"))], "FCID")
    assert list(with_codes) == ["FCID", "FCID+TOC", "FCID, continuous"]
    assert with_codes["FCID+TOC"]["average"] == pytest.approx([30.0])
    assert next(iter(with_codes["FCID"])) == "MSCOCO R@1"
    without = recall_tables.rows([result_of({})], "SimMMDG")
    assert list(without) == ["SimMMDG, continuous"]
    assert recall_tables.all_directions([result_of({})], "partner").columns[0] == "continuous R@1"
