"""The recipe `retrieval_index`: what it counts, and that it takes the model of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recipes.protocol import code_index
from recipes.runner import command_line

pytest.importorskip("faiss")


def test_counts_of_a_hand_example() -> None:
    classes = np.array([0, 0, 1])
    ids = np.array([[0, 1, 2], [2, 1, 0], [0, 1, -1]])
    padded = np.pad(ids, [(0, 0), (0, 8)], constant_values=-1)
    found = code_index.counted(padded, classes)
    # First others: 1 (right), 2 (wrong), 0 (wrong); right among all others: 1, 1, none.
    assert found == pytest.approx({"P@1": 1 / 3, "P@10": 2 / 30, "R@10": 2 / 3})
    assert code_index.chance(classes) == pytest.approx(2 / 6)


def test_brute_force_ranks_all_and_codes_rank_by_code() -> None:
    random = np.random.default_rng(0)
    codebook = random.normal(size=(4, 3)).astype("float32")
    codes = np.repeat(np.arange(4), 12)
    general = codebook[codes] + 0.01 * random.normal(size=(48, 3)).astype("float32")
    clips = {name: {"general": general, "indices": codes} for name in ("audio", "text")}
    for ranking in code_index.RANKINGS:
        found = code_index.scores_of_ranking(clips, codes, codebook, ranking, 1)
        assert set(found) == {f"{a}->{b}" for a in clips for b in clips}
        assert all(score == 1 for scores in found.values() for score in scores.values())


def test_a_finished_run_is_taken_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, out = tmp_path / "first", tmp_path / "second"
    assert command_line.main(["quickstart", "--smoke", "--out", str(first)]) == 0
    words = ["retrieval_index", "--smoke", "--run", str(first), "--out", str(out)]
    assert command_line.main(words) == 0
    assert "audio->video" in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert set(result["scores"]) == set(code_index.RANKINGS)
    assert result["encoder"]["run"] == str(first)
    assert command_line.main([*words[:-1], str(tmp_path / "other"), "--num-codes", "0"]) == 2
    assert "--num-codes must be at least 1" in capsys.readouterr().err


def test_a_missing_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "retrieval_index",
        "--smoke",
        "--run",
        str(tmp_path / "none"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert command_line.main(words) == 2
    assert "--run must hold model.keras" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
