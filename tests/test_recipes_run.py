"""Every recipe runs from the command line, on the small settings of `--smoke`."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.runner import command_line


def recipes(repository: Path, *arguments: str | Path) -> str:
    """Run `python -m recipes` as a user does, and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "recipes", *map(str, arguments)],
        cwd=repository,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_list_docs_and_modules_name_the_same_recipes(repository: Path) -> None:
    listed = re.findall(r"^  (\w+)  ", recipes(repository, "list"), re.MULTILINE)
    assert listed == list(command_line.RECIPES)
    pages = [*repository.glob("*.md"), *repository.glob("docs/*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    shown = set(re.findall(r"(?:`|recipes? |keras-cmg )(\w+) --", text))
    assert not set(listed) - shown
    modules = {
        path.stem
        for path in (repository / "recipes" / "experiments").glob("*.py")
        if "\nOPTIONS = " in (code := path.read_text("utf-8")) and "\ndef report(" in code
    }
    assert modules == set(listed)


def options_of(name: str) -> tuple[str, ...]:
    """Names of the options of a recipe."""
    return importlib.import_module(f"recipes.experiments.{name}").OPTIONS.names


# Those with trials use KerasTuner, or processes of their own.
ON_SHARED_ENCODERS = [
    name
    for name in sorted(command_line.RECIPES)
    if "cache" in options_of(name) and not {"trials", "workers"} & set(options_of(name))
]
OTHERS = sorted(set(command_line.RECIPES) - set(ON_SHARED_ENCODERS))


@pytest.mark.parametrize("name", OTHERS)
def test_recipe_runs_as_a_user_runs_it(name: str, repository: Path, tmp_path: Path) -> None:
    recipes(repository, name, "--smoke", "--out", tmp_path / name)
    assert (tmp_path / name / "result.json").is_file()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared features and trained encoders, which recipes find again."""
    return tmp_path_factory.mktemp("shared")


@pytest.mark.parametrize("name", ON_SHARED_ENCODERS)
def test_recipe_leaves_result_table_and_page(
    name: str, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [name, "--smoke", "--out", str(tmp_path / "run")]
    words += ["--features", str(shared / "features"), "--cache", str(shared / "cache")]
    assert command_line.main(words) == 0, capsys.readouterr().err
    result = json.loads((tmp_path / "run" / "result.json").read_text("utf-8"))
    assert result["recipe"] == name and result["smoke"] and result["seed"] == 0
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "smoke run" in page and 'src="data:image/png' in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "|---" in (tmp_path / "run" / "table.md").read_text("utf-8")
