"""Recipes over several seeds: what is kept, what is run, what the whole says."""

from __future__ import annotations

import argparse
import dataclasses
import json
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from recipes.reporting import report_writer as publishing
from recipes.reporting import tables
from recipes.runner import command_line as runner
from recipes.runner import provenance, seeds, settings


@dataclasses.dataclass
class Settings:
    data: str = "coins"
    throws: int = 10


def coins(fails_on: int | None = None) -> Any:
    """A recipe in miniature, which counts its runs."""
    ran: list[int] = []

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--throws", type=int)

    def settings_of(options: argparse.Namespace) -> Settings:
        chosen = settings.resolve(Settings(), options, {"throws": 2})
        settings.check_positive(chosen, ("throws",))
        return chosen

    def run(options: argparse.Namespace, out: Path) -> None:
        ran.append(options.seed)
        if options.seed == fails_on:
            raise ValueError("the coin rolled away")
        heads = 0.5 + options.seed / 10
        result = {**provenance.about(options, settings_of(options)), "heads": heads}
        provenance.write_json(out / "result.json", result)

    def report(runs: Sequence[seeds.Run], out: Path) -> str:
        measured = {"coin": {"heads": [run.result["heads"] for run in runs]}}
        table = tables.over_seeds("Heads", "what", measured, digits=2)
        return publishing.publish(out, "Coins", runs, [table], method="Thrown by hand.")

    return types.SimpleNamespace(
        add_arguments=add_arguments, settings_of=settings_of, run=run, report=report, ran=ran
    )


def options(recipe: Any, out: Path, *words: str) -> argparse.Namespace:
    parsed = runner.recipe_parser("coins", recipe).parse_args(["--out", str(out), *words])
    parsed.recipe, parsed.command = "coins", "python -m recipes coins"
    return parsed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_several_seeds_have_a_folder_each_and_a_table_over_all(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    text = seeds.run_all(recipe, options(recipe, out, "--seeds", "3"))
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
    assert "0.80" in seeds.run_all(recipe, options(recipe, out, "--seed", "3"))
    assert names(out) == ["report.html", "result.json", "table.md"]
    page = (out / "report.html").read_text("utf-8")
    assert "Thrown by hand." in page and "coins; seed 3;" in page


def test_a_failure_keeps_what_is_finished_and_resuming_does_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = coins(fails_on=2)
    with pytest.raises(ValueError, match="rolled away"):
        seeds.run_all(recipe, options(recipe, out, "--seeds", "3"))
    assert names(out) == ["seed0", "seed1"]
    recipe = coins()
    seeds.run_all(recipe, options(recipe, out, "--seeds", "3", "--resume"))
    assert recipe.ran == [2]
    assert "result.json" in names(out)
    recipe = coins()
    seeds.run_all(recipe, options(recipe, out, "--seeds", "3"))
    assert recipe.ran == [0, 1, 2]


def test_a_first_failure_leaves_nothing(tmp_path: Path) -> None:
    recipe, out = coins(fails_on=0), tmp_path / "run"
    for words in ([], ["--seeds", "2"]):
        with pytest.raises(ValueError, match="rolled away"):
            seeds.run_all(recipe, options(recipe, out, *words))
        assert not out.exists()


def test_resuming_refuses_other_settings_before_anything_is_run(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    seeds.run_all(recipe, options(recipe, out, "--seeds", "2"))
    other = coins()
    words = ["--seeds", "3", "--resume", "--throws", "7"]
    with pytest.raises(ValueError, match=r"seed0 has throws 10, not 7: choose another folder"):
        seeds.run_all(other, options(other, out, *words))
    assert other.ran == []


def test_one_seed_and_several_do_not_share_a_folder(tmp_path: Path) -> None:
    recipe = coins()
    seeds.run_all(recipe, options(recipe, tmp_path / "one"))
    seeds.run_all(recipe, options(recipe, tmp_path / "two", "--seeds", "2"))
    with pytest.raises(ValueError, match="holds a run of one seed"):
        seeds.run_all(recipe, options(recipe, tmp_path / "one", "--seeds", "2"))
    with pytest.raises(ValueError, match="holds a run of several seeds, seed0, seed1"):
        seeds.run_all(recipe, options(recipe, tmp_path / "two"))


def test_a_dry_run_says_what_is_to_do_and_writes_nothing(tmp_path: Path) -> None:
    recipe, out = coins(), tmp_path / "run"
    seeds.run_all(recipe, options(recipe, out, "--seeds", "2"))
    before = names(out)
    text = seeds.plan(recipe, options(recipe, out, "--seeds", "3", "--resume", "--dry-run"))
    assert recipe.ran == [0, 1] and names(out) == before
    lines = text.splitlines()
    assert "finished, kept" in lines[2] and "finished, kept" in lines[3]
    assert "to run" in lines[4] and lines[4].endswith("seed2")
    assert '"throws": 10' in text
    with pytest.raises(ValueError, match="--throws must be positive; received: 0"):
        seeds.plan(recipe, options(recipe, out, "--seeds", "3", "--throws", "0"))
    with pytest.raises(ValueError, match="--seeds must be at least 1; received: 0"):
        seeds.plan(recipe, options(recipe, out, "--seeds", "0"))


def test_a_result_must_say_where_it_comes_from(tmp_path: Path) -> None:
    recipe = coins()
    recipe.run = lambda options, out: provenance.write_json(out / "result.json", {"seed": 0})
    with pytest.raises(ValueError, match="missing"):
        seeds.run_all(recipe, options(recipe, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_lists_recipes_and_runs_dry(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert runner.main(["list"]) == 0
    assert "quickstart" in capsys.readouterr().out
    out = tmp_path / "run"
    assert runner.main(["quickstart", "--dry-run", "--seeds", "2", "--out", str(out)]) == 0
    assert "seed1" in capsys.readouterr().out and not out.exists()
