"""The command line: what it prints, its exit codes, and that it stays free of engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from data_tools.__main__ import main


def test_prepare_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "features")
    sizes = ["--train", "6", "--val", "2", "--test", "2", "--channels", "8"]
    assert main(["prepare", "synthetic", "--out", out, *sizes]) == 0
    assert f"features of synthetic are in {out}" in capsys.readouterr().out
    assert main(["verify", out]) == 0
    assert f"{out} is whole" in capsys.readouterr().out
    Path(out, "captions.txt").write_text("changed")
    assert main(["verify", out]) == 1
    assert "error: " in capsys.readouterr().err


def test_errors_are_one_line_and_exit_code_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = str(tmp_path), str(tmp_path / "features")
    assert main(["prepare", "digits", "--root", root, "--out", out]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: `root` must be a folder with")
    assert error.count("\n") == 1


def test_help_and_unknown_words(capsys: pytest.CaptureFixture[str]) -> None:
    for words, code in ((["prepare", "--help"], 0), (["prepare", "letters", "--out", "x"], 2)):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == code
    assert "data set" in capsys.readouterr().out


def test_preparing_needs_no_engine() -> None:
    code = (
        "import sys, data_tools, data_tools.__main__\n"
        "loaded = {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported: {loaded}' if loaded else 0)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
