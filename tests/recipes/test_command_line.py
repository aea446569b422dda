"""The command line of recipes: what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.runner import command_line as runner
from recipes.runner import output


def finished_run(folder: Path, recipe: str) -> Path:
    folder.mkdir()
    (folder / output.RESULT).write_text(json.dumps({"recipe": recipe}), encoding="utf-8")
    return folder


def test_files_appear_together(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with output.output_folder(out, "quickstart") as folder:
        (folder / "report.html").write_text("page", encoding="utf-8")
        assert not (out / "report.html").exists()
    assert [path.name for path in out.iterdir()] == ["report.html"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with (
        pytest.raises(ValueError, match="in the middle"),
        output.output_folder(out, "quickstart") as folder,
    ):
        (folder / "report.html").write_text("half a p", encoding="utf-8")
        raise ValueError("in the middle")
    assert not out.exists()


def test_an_error_leaves_the_earlier_run_and_the_cache(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "quickstart")
    (out / "features").mkdir()
    with pytest.raises(KeyboardInterrupt), output.output_folder(out, "quickstart") as folder:
        (folder / output.RESULT).write_text("{", encoding="utf-8")
        raise KeyboardInterrupt
    assert sorted(path.name for path in out.iterdir()) == ["features", output.RESULT]
    assert json.loads((out / output.RESULT).read_text(encoding="utf-8"))


def test_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "quickstart")
    with output.output_folder(out, "quickstart") as folder:
        (folder / output.RESULT).write_text("{}", encoding="utf-8")
    assert (out / output.RESULT).read_text(encoding="utf-8") == "{}"


def test_folders_of_others_are_refused_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert runner.main(["quickstart", "--smoke", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--out must be new, empty or of an earlier run of quickstart" in error
    assert "thesis.txt" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "other")
    with pytest.raises(ValueError, match="is of other"):
        output.check_output_folder(out, "quickstart")
    with pytest.raises(ValueError, match="must be a folder"):
        output.check_output_folder(out / output.RESULT, "quickstart")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "--epochs must be positive; received: 0"),
        (["--learning-rate", "-1"], "--learning-rate must be positive; received: -1.0"),
        (["--learning-rate", "nan"], "--learning-rate must be positive; received: nan"),
        (["--seed", "-1"], "--seed must be at least 0; received: -1"),
        (["--toc-channels", "64", "257"], "--toc-channels must lie between 1 and 256"),
        (["--preset", "large"], "`preset` must be one of"),
        (["--data", "digits", "--root", "no-such-folder"], "no-such-folder"),
    ],
)
def test_bad_options_are_told_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert runner.main(["quickstart", "--smoke", "--out", str(out), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_unknown_names_are_told_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["slowstart"], ["quickstart", "--data", "letters"]):
        with pytest.raises(SystemExit) as stopped:
            runner.main(words)
        assert stopped.value.code == 2
        assert "invalid choice" in capsys.readouterr().err


def test_every_listed_recipe_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for name in runner.RECIPES:
        with pytest.raises(SystemExit) as stopped:
            runner.main([name, "--help"])
        assert stopped.value.code == 0
        assert {"--smoke", "--out", "--seed"} <= set(capsys.readouterr().out.split())
