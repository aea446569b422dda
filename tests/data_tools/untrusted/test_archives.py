"""Archives: one plain member is read, whatever leads elsewhere or grows too large is not."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_tools.untrusted import open_zip_member, read_zip_member
from tests.helpers.hostile_files import (
    truncate,
    write_bomb,
    write_link,
    write_lying_bomb,
    write_zip,
)
from tests.helpers.memory import bounded_memory

CONTENT = np.random.default_rng(0).bytes(5000)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("member", ["a.pkl", "folder/a.pkl"])
def test_one_member_is_read(tmp_path: Path, method: int, member: str) -> None:
    path = write_zip(tmp_path / "a.zip", CONTENT, member, method)
    assert read_zip_member(path) == CONTENT
    with open_zip_member(path) as (name, stream):
        assert name == member
        assert stream.read(10) == CONTENT[:10]


def two_members(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.pkl", b"1")
        archive.writestr("b.pkl", b"2")
    return path


def no_member(path: Path) -> Path:
    zipfile.ZipFile(path, "w").close()
    return path


def encrypted(path: Path) -> Path:
    content = bytearray(write_zip(path, CONTENT).read_bytes())
    content[content.find(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    return path


def altered(path: Path) -> Path:
    content = bytearray(write_zip(path, CONTENT, method=zipfile.ZIP_STORED).read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (lambda path: truncate(write_zip(path, CONTENT)), "must be a whole zip archive"),
    "zero bytes": (empty, "Received a file of 0 bytes"),
    "a folder": (folder, "Received a folder or a device"),
    "two members": (two_members, "must hold one file. Received 2: 'a.pkl', 'b.pkl'"),
    "no member": (no_member, "must hold one file. Received 0"),
    "a folder inside": (
        lambda path: write_zip(path, b"", "a/"),
        "must hold a plain file, no folder and no link. Received: 'a/'",
    ),
    "parent": (lambda path: write_zip(path, b"1", "../../a.pkl"), "Received: '../../a.pkl'"),
    "root": (lambda path: write_zip(path, b"1", "/etc/a.pkl"), "Received: '/etc/a.pkl'"),
    "drive": (lambda path: write_zip(path, b"1", "C:/a.pkl"), "Received: 'C:/a.pkl'"),
    "backslash": (lambda path: write_zip(path, b"1", "..\\a.pkl"), "stays in its folder"),
    "link": (write_link, "no folder and no link. Received: 'a.pkl'"),
    "encrypted": (encrypted, "and not encrypted. Received method 8, flags 1"),
    "bzip2": (
        lambda path: write_zip(path, CONTENT, method=zipfile.ZIP_BZIP2),
        "must be stored or deflated",
    ),
    "altered": (altered, "Bad CRC-32"),
    "bomb": (write_bomb, "must unpack to at most 67108864 bytes. Received: 268435456"),
    "smaller bomb": (
        lambda path: write_bomb(path, 2**25),
        "must unpack to at most 100 times its size. Received: 10",
    ),
    "bomb that lies": (write_lying_bomb, "must be a whole zip archive; reading it gave: Bad CRC"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(tmp_path: Path, fault: str) -> None:
    make, message = FAULTS[fault]
    path = make(tmp_path / "a.zip")
    with bounded_memory(2**21), pytest.raises(ValueError, match=f"^{path} must ") as caught:
        read_zip_member(path)
    assert message in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip"]


def test_a_missing_file_is_another_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.zip does not exist"):
        read_zip_member(tmp_path / "a.zip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(ValueError, match="Received a folder or a device"):
        read_zip_member(tmp_path / "a.zip")


def test_a_long_list_of_members_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    entry = b"PK\1\2" + bytes(42)
    listed = entry * 400_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(listed), 0, 0)
    path.write_bytes(listed + end)
    with bounded_memory(2**21), pytest.raises(ValueError, match="must be a whole zip archive"):
        read_zip_member(path)


def test_errors_of_the_reader_pass_unchanged(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", CONTENT)
    with pytest.raises(ValueError, match=r"^a rule of the caller$"), open_zip_member(path):
        raise ValueError("a rule of the caller")


def test_altered_bytes_give_the_content_or_a_value_error(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", b"some content " * 20)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(1500):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        path.write_bytes(changed[: rng.integers(1, 2 * len(content))])
        try:
            assert read_zip_member(path) == b"some content " * 20
        except ValueError as error:
            assert str(error).startswith(f"{path} must ")
