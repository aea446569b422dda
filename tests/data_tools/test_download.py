"""Downloads: checked, whole or absent, and helpful without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.io import download
from data_tools.raw import digits_sources


def accept(path: Path) -> None:
    """Takes any content."""


def test_second_address_serves_when_the_first_does_not(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("content")
    urls = [(tmp_path / "absent").as_uri(), source.as_uri()]
    path = download.fetch(urls, tmp_path / "cache" / "a", accept)
    assert path.read_text() == "content"


def test_file_already_there_is_not_fetched(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("here")
    assert download.fetch([], path, accept).read_text() == "here"


def test_wrong_content_leaves_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("content")

    def refuse(path: Path) -> None:
        raise ValueError("unknown content")

    folder = tmp_path / "cache"
    with pytest.raises(FileNotFoundError, match=r"(?s)unknown content.*put it into .*cache"):
        download.fetch([source.as_uri()], folder / "a", refuse)
    assert list(folder.iterdir()) == []


def test_digits_are_downloaded_into_the_cache(
    known_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_CMG_CACHE", str(tmp_path))
    monkeypatch.setattr(digits_sources, "FSDD_URLS", [(known_digits / "fsdd.zip").as_uri()])
    monkeypatch.setattr(digits_sources, "MNIST_URLS", [known_digits.as_uri() + "/"])
    folder = digits_sources.find(None)
    assert folder == tmp_path / "digits"
    assert {path.name for path in folder.iterdir()} == set(digits_sources.SHA256)


def test_changed_digits_are_refused(
    raw_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_CMG_CACHE", str(tmp_path))
    monkeypatch.setattr(digits_sources, "FSDD_URLS", [(raw_digits / "fsdd.zip").as_uri()])
    with pytest.raises(FileNotFoundError, match=r"fsdd\.zip must have the known contents"):
        digits_sources.find(None)
    assert list((tmp_path / "digits").iterdir()) == []
