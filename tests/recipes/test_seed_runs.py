"""Recipes over several seeds: what is kept, what is run, what the whole says."""

from __future__ import annotations

import json
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recipes.reporting import report_writer, tables
from recipes.runner import command_line, seed_runs
from recipes.runner.options import RecipeOptions


def coins(fails_on: int | None = None, minted: str = "1990") -> Any:
    """A recipe in miniature, which counts its runs."""
    ran: list[int] = []

    def run(job: seed_runs.Job, out: Path) -> dict[str, Any]:
        ran.append(job.seed)
        if job.seed == fails_on:
            raise ValueError("the coin rolled away")
        return {"heads": 0.5 + job.seed / 10, "features": {"minted": minted}}

    def report(runs: Sequence[seed_runs.Run], out: Path) -> str:
        measured = {"coin": {"heads": [run.result["heads"] for run in runs]}}
        table = tables.over_seeds("Heads", "what", measured, digits=2)
        return report_writer.publish(out, "Coins", runs, [table], method="Thrown by hand.")

    return types.SimpleNamespace(
        OPTIONS=RecipeOptions(("num_pairs",), smoke={"num_pairs": 10}, defaults={"data": "coins"}),
        run=run,
        report=report,
        data_identity=lambda job: {"minted": minted},
        ran=ran,
    )


def planned(recipe: Any, out: Path, *words: str) -> seed_runs.Plan:
    given = command_line.recipe_parser("coins", recipe).parse_args(["--out", str(out), *words])
    return seed_runs.plan("coins", recipe, given, "python -m recipes coins")


def run_all(recipe: Any, out: Path, *words: str) -> str:
    return seed_runs.run_all(recipe, planned(recipe, out, *words))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_seeds_have_a_folder_each_and_a_table_over_all(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    text = run_all(recipe, out, "--seeds", "3")
    assert recipe.ran == [0, 1, 2]
    assert names(out) == ["report.html", "result.json", "seed0", "seed1", "seed2", "table.md"]
    assert names(out / "seed1") == ["report.html", "result.json", "table.md"]
    assert "0.60 ± 0.25" in text and "0.60 ± 0.25" in (out / "table.md").read_text("utf-8")
    whole = json.loads((out / "result.json").read_text("utf-8"))
    assert whole["seeds"] == [0, 1, 2] and "seed" not in whole
    assert [run["heads"] for run in whole["runs"]] == [0.5, 0.6, 0.7]
    assert all(run["total_seconds"] >= 0 for run in whole["runs"])


def test_one_seed_has_the_whole_folder(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    assert "0.80" in run_all(recipe, out, "--seed", "3")
    assert names(out) == ["report.html", "result.json", "table.md"]
    page = (out / "report.html").read_text("utf-8")
    assert "Thrown by hand." in page and "coins; seed 3;" in page


def test_a_failure_keeps_what_is_finished_and_resuming_does_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = coins(fails_on=2)
    with pytest.raises(ValueError, match="rolled away"):
        run_all(recipe, out, "--seeds", "3")
    assert names(out) == ["seed0", "seed1"]
    recipe = coins()
    run_all(recipe, out, "--seeds", "3", "--resume")
    assert recipe.ran == [2]
    assert "result.json" in names(out)
    recipe = coins()
    run_all(recipe, out, "--seeds", "3")
    assert recipe.ran == [0, 1, 2]


def test_a_first_failure_leaves_nothing(tmp_path: Path) -> None:
    recipe, out = coins(fails_on=0), tmp_path / "run"
    for words in ([], ["--seeds", "2"]):
        with pytest.raises(ValueError, match="rolled away"):
            run_all(recipe, out, *words)
        assert not out.exists()


def test_resuming_refuses_other_settings_before_anything_is_run(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    run_all(recipe, out, "--seeds", "2")
    other = coins()
    words = ["--seeds", "3", "--resume", "--num-pairs", "70"]
    with pytest.raises(ValueError, match=r"seed0 has num_pairs 500, not 70: choose another folder"):
        run_all(other, out, *words)
    assert other.ran == []


def test_one_seed_and_several_do_not_share_a_folder(tmp_path: Path) -> None:
    recipe = coins()
    run_all(recipe, tmp_path / "one")
    run_all(recipe, tmp_path / "two", "--seeds", "2")
    with pytest.raises(ValueError, match="holds a run of one seed"):
        run_all(recipe, tmp_path / "one", "--seeds", "2")
    with pytest.raises(ValueError, match="holds a run of several seeds, seed0, seed1"):
        run_all(recipe, tmp_path / "two")


def test_a_dry_run_says_what_is_to_do_and_writes_nothing(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    run_all(recipe, out, "--seeds", "2")
    before = names(out)
    text = seed_runs.plan_text(planned(recipe, out, "--seeds", "3", "--resume", "--dry-run"))
    assert recipe.ran == [0, 1] and names(out) == before
    lines = text.splitlines()
    assert "finished, kept" in lines[2] and "finished, kept" in lines[3]
    assert "to run" in lines[4] and lines[4].endswith("seed2")
    assert '"num_pairs": 500' in text
    with pytest.raises(ValueError, match=r"--num-pairs must be at least 10\. Received: 0"):
        seed_runs.plan_text(planned(recipe, out, "--seeds", "3", "--num-pairs", "0"))
    with pytest.raises(ValueError, match=r"--seeds must be at least 1\. Received: 0"):
        seed_runs.plan_text(planned(recipe, out, "--seeds", "0"))


def test_a_result_says_where_it_comes_from(tmp_path: Path) -> None:
    recipe = coins()
    run_all(recipe, tmp_path / "run")
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert {"recipe", "seed", "settings", "versions", "command", "date"} <= set(result)
    assert result["settings"] == {"num_pairs": 500, "data": "coins"}


def test_resuming_refuses_a_run_on_other_data(tmp_path: Path) -> None:
    """The settings, names and times of the data are the same; their content is not."""
    run_all(coins(), tmp_path / "run")
    run_all(coins(), tmp_path / "run", "--resume")
    other = coins(minted="2020")
    with pytest.raises(ValueError, match="was measured on other data"):
        run_all(other, tmp_path / "run", "--resume")
    assert other.ran == []


def test_lists_recipes_and_runs_dry(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line.main(["list"]) == 0
    assert "quickstart" in capsys.readouterr().out
    out = tmp_path / "run"
    assert command_line.main(["quickstart", "--dry-run", "--seeds", "2", "--out", str(out)]) == 0
    assert "seed1" in capsys.readouterr().out and not out.exists()
