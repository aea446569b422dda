"""The command line of recipes: what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.experiments import quickstart
from recipes.runner import command_line, output_folder
from recipes.runner.options import Parser, RecipeOptions, add_options


def finished_run(folder: Path, recipe: str) -> Path:
    folder.mkdir()
    (folder / output_folder.RESULT).write_text(json.dumps({"recipe": recipe}), encoding="utf-8")
    return folder


def test_files_appear_together(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with output_folder.output_folder(out, "quickstart") as folder:
        (folder / "report.html").write_text("page", encoding="utf-8")
        assert not (out / "report.html").exists()
    assert [path.name for path in out.iterdir()] == ["report.html"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with (
        pytest.raises(ValueError, match="in the middle"),
        output_folder.output_folder(out, "quickstart") as folder,
    ):
        (folder / "report.html").write_text("half a p", encoding="utf-8")
        raise ValueError("in the middle")
    assert not out.exists()


def test_an_error_leaves_the_earlier_run_and_the_cache(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "quickstart")
    (out / "features").mkdir()
    with pytest.raises(KeyboardInterrupt), output_folder.output_folder(out, "quickstart") as folder:
        (folder / output_folder.RESULT).write_text("{", encoding="utf-8")
        raise KeyboardInterrupt
    assert sorted(path.name for path in out.iterdir()) == ["features", output_folder.RESULT]
    assert json.loads((out / output_folder.RESULT).read_text(encoding="utf-8"))


def test_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "quickstart")
    with output_folder.output_folder(out, "quickstart") as folder:
        (folder / output_folder.RESULT).write_text("{}", encoding="utf-8")
    assert (out / output_folder.RESULT).read_text(encoding="utf-8") == "{}"


def test_folders_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "train")
    (out / "index").mkdir()
    (out / "index" / "old.json").touch()
    with output_folder.output_folder(out, "train") as folder:
        (folder / "index").mkdir()
        (folder / "index" / "new.json").touch()
    assert [path.name for path in (out / "index").iterdir()] == ["new.json"]
    assert sorted(path.name for path in out.iterdir()) == ["index", output_folder.RESULT]


def test_folders_of_others_are_refused_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert command_line.main(["quickstart", "--smoke", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--out must be new, empty or of an earlier run of quickstart" in error
    assert "holds thesis.txt: choose" in error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    out = finished_run(tmp_path / "run", "other")
    with pytest.raises(ValueError, match="is of other"):
        output_folder.check_output_folder(out, "quickstart")
    with pytest.raises(ValueError, match="must be a folder"):
        output_folder.check_output_folder(out / output_folder.RESULT, "quickstart")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "--epochs must be at least 1. Received: 0"),
        (["--learning-rate", "-1"], "--learning-rate must be greater than 0. Received: -1.0"),
        (["--learning-rate", "nan"], "--learning-rate must be greater than 0. Received: nan"),
        (["--seed", "-1"], "--seed must be at least 0. Received: -1"),
        (["--toc-channels", "64", "257"], "--toc-channels must lie between 1 and 256"),
        (["--preset", "large"], "--preset of fcid must be one of"),
        (["--data", "digits", "--root", "no-such-folder"], "no-such-folder"),
    ],
)
def test_bad_options_are_told_in_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert command_line.main(["quickstart", "--smoke", "--out", str(out), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["tabel1"], "table1"),
        (["quickstart", "--data", "digit"], "digits"),
        (["quickstart", "--epoch", "3"], "--epochs"),
        (["table1", "--task", "ave_avp"], "ave_avvp"),
        (["table1", "--model", "fcdi"], "fcid"),
    ],
)
def test_a_misspelt_word_is_answered_by_the_nearest(
    words: list[str], nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command_line.main(words)
    assert stopped.value.code == 2
    assert f"did you mean {nearest}?" in capsys.readouterr().err


def test_an_error_is_a_line_and_with_debug_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quickstart", "--epochs", "0", "--out", str(tmp_path / "run")]
    assert command_line.main(words) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert command_line.main([*words, "--debug"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and "in check_range" in error
    assert error.splitlines()[-1] == "error: --epochs must be at least 1. Received: 0"


def test_an_interruption_has_an_exit_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(job, out):
        raise KeyboardInterrupt

    monkeypatch.setattr(quickstart, "run", interrupt)
    assert command_line.main(["quickstart", "--smoke", "--out", str(tmp_path / "run")]) == 130
    assert "stopped" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quickstart, "run", lambda job, out: pytest.fail("computed"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    out = tmp_path / "file" / "run"
    assert command_line.main(["quickstart", "--smoke", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot write --out {out}: Not a directory")
    assert error.count("\n") == 1


def test_an_unknown_engine_is_answered_by_the_names_of_engines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "pytorch")
    assert command_line.main(["quickstart", "--smoke"]) == 2
    error = capsys.readouterr().err
    assert "KERAS_BACKEND must be one of jax, tensorflow, torch" in error
    assert "Received: 'pytorch'; did you mean torch?" in error


def test_every_listed_recipe_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for name in command_line.RECIPES:
        with pytest.raises(SystemExit) as stopped:
            command_line.main([name, "--help"])
        assert stopped.value.code == 0
        assert {"--smoke", "--out", "--seed"} <= set(capsys.readouterr().out.split())


def test_the_folder_has_the_default_that_help_shows() -> None:
    parser = Parser()
    add_options(parser, "table1", RecipeOptions(("epochs",)))
    assert parser.parse_args([]).out == "runs/table1"
    assert "default: runs/table1" in parser.format_help()


def test_an_error_lists_a_few_files_by_their_whole_names(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number} {'long ' * 8}name.txt").touch()
    with pytest.raises(ValueError, match=r"name\.txt and 2 more: choose another"):
        output_folder.check_output_folder(tmp_path, "quickstart")
