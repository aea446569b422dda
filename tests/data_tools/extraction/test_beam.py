"""Extraction by Apache Beam; runs where Beam is installed, which `make test-beam` sees to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from data_tools.extraction import extract
from data_tools.extraction.beam import extract_shard, extract_with_beam
from data_tools.extraction.job import finish
from data_tools.extraction.planning import begin, plan
from data_tools.extraction.pool import Worker
from tests.data_tools.extraction.test_extract import (
    MISBEHAVING,
    same_folders,
    write_captions,
)
from tests.helpers import media

EXTRACTORS = {
    "audio": {"name": "log_mel", "options": {"segments": 2}},
    "text": {"name": "words", "options": {"dim": 16}},
}


def test_missing_beam_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ImportError, match=r"a runner needs, .* the package 'apache_beam'"):
        extract_with_beam(tmp_path, tmp_path / "out", EXTRACTORS)


def test_a_shard_made_elsewhere_is_the_same(tmp_path: Path) -> None:
    source = write_captions(tmp_path, ["one", "two", "raise", "three", "four"])
    extract(source, tmp_path / "local", MISBEHAVING, shard_rows=2)
    job, clips = plan(source, tmp_path / "out", MISBEHAVING, shard_rows=2)
    job.out.mkdir()
    begin(job, clips)
    job.shard(1)  # as if begun, and left, by another process
    worker = Worker(job.setup(), 60)
    for number in (2, 0, 1, 1):
        extract_shard(job, number, worker)
    worker.close()
    finish(job)
    assert same_folders(tmp_path / "local", tmp_path / "out")


def test_beam_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip(
        "apache_beam", reason="Beam wants an environment of its own, see `make test-beam`"
    )
    media.write_clips(tmp_path / "clips", 10)
    next((tmp_path / "clips/audio").glob("clip0004*")).write_bytes(b"")
    extract(tmp_path / "clips", tmp_path / "local", EXTRACTORS, segments=2, shard_rows=3)
    arguments = (tmp_path / "clips", tmp_path / "out", EXTRACTORS, 2, 3)
    assert extract_with_beam(*arguments, workers=2) == {"rows": 9, "failed": 1}
    assert same_folders(tmp_path / "local", tmp_path / "out")
