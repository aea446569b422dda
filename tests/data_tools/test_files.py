"""Nothing half-written stays, and nothing whole is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.io.files import atomic_file, atomic_folder, read_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_failed_file_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stop")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_folder(target) as temporary:
        (temporary / "half.txt").write_text("half")
        raise RuntimeError("stop")
    assert names(tmp_path) == ["a"]
    assert names(target) == ["old.txt"]


def test_finished_folder_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.mkdir()
    (target / "old.txt").write_text("old")
    with atomic_folder(target) as temporary:
        (temporary / "new.txt").write_text("new")
        assert names(target) == ["old.txt"]
    assert names(tmp_path) == ["a"]
    assert names(target) == ["new.txt"]


def test_json_must_be_an_object(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError, match=r"a\.json"):
        read_json(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"must hold a JSON object\. Received a list"):
        read_json(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="must hold valid JSON"):
        read_json(path)
