"""`kill -9` at random moments, then again: nothing is lost, little is redone, the bytes agree."""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data_tools.extraction import extract
from tests.conftest import REPOSITORY
from tests.data_tools.extraction.test_extract import same_folders

SCRIPT = """
import sys
from data_tools.extraction import extract
extract(*sys.argv[1:3], {{"text": {{"name": {name!r}, "options": {{"log": sys.argv[3]}}}}}},
        shard_rows=17, workers={workers})
"""
NAME = "tests.helpers.extractors:Slow"


def killed_run(arguments: list[str], workers: int, delay: float) -> bool:
    """Runs the extraction for a while and kills it; whether it was still running."""
    script = SCRIPT.format(name=NAME, workers=workers)
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=REPOSITORY)
    time.sleep(delay)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX systems")
@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_extraction_gives_the_same_bytes(tmp_path: Path, kills: int) -> None:
    workers, count = 2, 60 * kills
    captions = [f"caption {n}" if n % 11 else "" for n in range(count)]
    lines = "".join(f"c{n},{caption}\n" for n, caption in enumerate(captions))
    (tmp_path / "clips.csv").write_text("id,caption\n" + lines)
    rng = random.Random(kills)
    source, out, log = (str(tmp_path / name) for name in ("clips.csv", "out", "log"))
    happened = 0
    for _ in range(kills):
        happened += killed_run([source, out, log], workers, rng.uniform(0.5, 2.0))
    assert happened == kills, "the extraction must outlast the kills; make it longer"
    slow = {"text": {"name": NAME, "options": {"log": log}}}
    result = extract(source, out, slow, shard_rows=17, workers=workers)
    assert result["rows"] == count - len(range(0, count, 11))
    done = collections.Counter(Path(log).read_text().splitlines())
    assert set(done) == set(filter(None, captions))
    # Only what a kill cut off is done again: at most a clip per worker and kill.
    assert sum(done.values()) <= len(done) + kills * workers
    undisturbed = {"text": {"name": NAME, "options": {"log": str(tmp_path / "other")}}}
    extract(source, tmp_path / "undisturbed", undisturbed, shard_rows=17)
    assert same_folders(Path(out), tmp_path / "undisturbed")
