"""Raw files of the digits: every kind of damage is named."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_tools.raw import digits_sources
from tests.data_tools.conftest import idx_bytes, wav_bytes

IMAGES = np.arange(2 * 28 * 28).reshape(2, 28, 28) % 256


def test_idx_gives_the_array_back(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)))
    np.testing.assert_array_equal(digits_sources.read_idx(path)[0], IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(idx_bytes(IMAGES))[:-20], "must be a whole gzip file"),
        (idx_bytes(IMAGES), "must be a whole gzip file"),
        (gzip.compress(idx_bytes(IMAGES)[:-1]), "as many bytes as its header announces"),
        (gzip.compress(idx_bytes(IMAGES) + b"x"), "as many bytes as its header announces"),
        (gzip.compress(idx_bytes(IMAGES)[:9]), "as many bytes as its header announces"),
        (gzip.compress(b"\0\0\x0d\x03" + bytes(12)), "magic number .* Received: 3331"),
        (gzip.compress(b""), "magic number"),
    ],
    ids=["cut gzip", "no gzip", "short", "long", "cut header", "other type", "empty"],
)
def test_idx_names_the_file_and_the_fault(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.gz .*{message}"):
        digits_sources.read_idx(path)


def test_archive_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "fsdd.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="must be a whole zip archive"):
        digits_sources.read_recordings(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recordings/README", "no sound")
    with pytest.raises(ValueError, match=r"must hold `recordings/\*\.wav`"):
        digits_sources.read_recordings(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recordings/3_ann_0.wav", wav_bytes(np.ones(9))[:-4])
    with pytest.raises(ValueError, match=r"recordings/3_ann_0\.wav must hold"):
        digits_sources.read_recordings(path)


def test_missing_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "fsdd.zip").touch()
    with pytest.raises(FileNotFoundError, match=r"lacks \['train-images.*Leave `root` out"):
        digits_sources.find(tmp_path)


def test_unknown_contents_are_refused(raw_digits: Path) -> None:
    with pytest.raises(ValueError, match=r"fsdd\.zip must have the known contents"):
        digits_sources.require(raw_digits / "fsdd.zip", "0" * 64)
