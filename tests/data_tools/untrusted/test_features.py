"""Feature files: found by id, read exactly, faults named with file and rule."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from data_tools.untrusted import find_feature, read_feature, read_npy
from tests.helpers.hostile_files import ARRAY, write_feature, write_zip
from tests.helpers.memory import bounded_memory


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_zips_and_npy_files_give_the_array(tmp_path: Path) -> None:
    write_feature(tmp_path / "a.zip", ARRAY)
    np.save(tmp_path / "b.npy", np.asfortranarray(ARRAY))
    write_zip(tmp_path / "c.zip", npy(ARRAY), "c.npy")
    for id in "abc":
        found = read_feature(find_feature(tmp_path, id))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, ARRAY)


def test_zip_comes_before_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAY)
    assert find_feature(tmp_path, "a").name == "a.npy"
    write_feature(tmp_path / "a.zip", ARRAY)
    assert find_feature(tmp_path, "a").name == "a.zip"


def test_missing_files_are_named_with_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.zip or a\.npy. Received neither"):
        find_feature(tmp_path, "a")
    (tmp_path / "a.rar").write_bytes(b"1")
    with pytest.raises(FileNotFoundError, match=r"a\.zip or a\.npy. Received a\.rar"):
        find_feature(tmp_path, "a")


@pytest.mark.parametrize("id", ["../a", "a/b", "..", ".", "", "a\\b", "a\0"])
def test_ids_do_not_leave_the_folder(tmp_path: Path, id: str) -> None:
    with pytest.raises(ValueError, match="an id must be a plain file name"):
        find_feature(tmp_path, id)


def header(text: str, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text.encode()


NPY_FAULTS = {
    "object array": (
        b"\x93NUMPY\1\0" + npy(np.zeros(1))[8:].replace(b"<f8", b"|O "),
        "booleans, integers or floats. Received: \"{'descr': '|O '",
    ),
    "text": (npy(np.array(["a"])), "Received: \"{'descr': '<U1'"),
    "cut": (npy(ARRAY)[:-1], "take (80). Received only 79"),
    "longer": (npy(ARRAY) + b"x", "take (80). Received more"),
    "no numpy": (
        b"PK\3\4" + bytes(100),
        "must be a .npy file. Received one that begins b'PK\\x03\\x04",
    ),
    "terabyte": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"),
        "must hold at most 67108864 bytes. Received: 4398046511104",
    ),
    "negative": (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }"),
        "must have the header of a .npy file",
    ),
    "code": (header("__import__('os').system('true')"), "must have the header"),
    "nested": (header("(" * 3000), "must have the header"),
    "minus": (header("-" * 3000 + "1"), "must have the header"),
    "long header": (header("{" + " " * 10000 + "}"), "must have the header"),
    "version": (header("{}", 9), "one that begins b'\\x93NUMPY\\t\\x00'"),
    "empty": (b"", "must be a .npy file"),
}


@pytest.mark.parametrize("fault", NPY_FAULTS)
def test_faults_of_npy_files_are_named(fault: str) -> None:
    content, message = NPY_FAULTS[fault]
    with bounded_memory(2**22), pytest.raises(ValueError, match=r"^a\.npy must ") as caught:
        read_npy(io.BytesIO(content), name="a.npy")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("a.pkl", "a.txt", "a"):
        (tmp_path / name).write_bytes(b"1")
        with pytest.raises(ValueError, match=r"must end in one of \('\.zip', '\.npy'\)"):
            read_feature(tmp_path / name)
    write_zip(tmp_path / "a.zip", b"1", "a.txt")
    with pytest.raises(ValueError, match=r"a\.zip must hold a \.pkl or \.npy file; .*'a\.txt'"):
        read_feature(tmp_path / "a.zip")
    (tmp_path / "b.npy").write_bytes(write_feature(tmp_path / "c.zip", ARRAY).read_bytes())
    with pytest.raises(ValueError, match=r"b\.npy must be a \.npy file"):
        read_feature(tmp_path / "b.npy")
    np.save(tmp_path / "d.npy", ARRAY)
    (tmp_path / "d.npy").rename(tmp_path / "d.zip")
    with pytest.raises(ValueError, match=r"d\.zip must be a whole zip archive"):
        read_feature(tmp_path / "d.zip")


def test_errors_inside_an_archive_name_archive_and_member(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", b"cos\nsystem\n.", "b.pkl")
    with pytest.raises(ValueError, match=r"a\.zip:b\.pkl must .* Received: os\.system"):
        read_feature(path)
