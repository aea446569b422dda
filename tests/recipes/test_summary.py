"""Tables over seeds."""

from __future__ import annotations

import json
import math

import pytest
from scipy import stats

from recipes.reporting import scores, summary, tables

RUN = {
    "protocol": "heldout",
    "settings": {"data": "digits", "epochs": 1},
    "chance": 0.1,
    "seed": 0,
    "scores": {"audio->video": 0.9},
    "toc": {"128": {"audio->video": 0.8}},
    "continuous": {"audio->video": 1.0},
}


def test_interval_is_students():
    values = [0.91, 0.95, 0.99]
    mean, half = tables.interval(values)
    low, high = stats.t.interval(0.95, 2, loc=mean, scale=stats.sem(values))
    assert mean == pytest.approx(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))


def test_one_value_has_no_interval():
    assert math.isnan(tables.interval([0.5])[1])


def test_runs_must_be_comparable():
    with pytest.raises(ValueError, match="same 'settings'"):
        scores.table([RUN, {**RUN, "seed": 1, "settings": {"data": "synthetic"}}])
    with pytest.raises(ValueError, match="seed of its own"):
        scores.table([RUN, RUN])


def test_prints_a_table(tmp_path, capsys):
    for seed, score in ((0, 0.9), (1, 1.0)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = {**RUN, "seed": seed, "scores": {"audio->video": score}}
        (folder / "result.json").write_text(json.dumps(run), encoding="utf-8")
    assert summary.main([str(tmp_path / "0"), str(tmp_path / "1")]) == 0
    assert "| audio->video | 95.0 ± 63.5 | 80.0 ± 0.0 | 100.0 ± 0.0 |" in capsys.readouterr().out


def test_names_a_missing_run(tmp_path, capsys):
    assert summary.main([str(tmp_path)]) == 2
    assert "result.json" in capsys.readouterr().err
