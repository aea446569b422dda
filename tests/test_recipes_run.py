"""Every recipe runs from the command line, on the small settings of `--smoke`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


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


def test_every_recipe_runs_and_leaves_a_result(repository: Path, tmp_path: Path) -> None:
    listed = re.findall(r"^  (\w+)  ", recipes(repository, "list"), re.MULTILINE)
    assert "quickstart" in listed
    for name in listed:
        recipes(repository, name, "--smoke", "--out", tmp_path / name)
        assert (tmp_path / name / "result.json").is_file()
