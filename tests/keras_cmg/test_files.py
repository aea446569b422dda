"""Files and folders are whole at any moment, whoever is killed and however many write."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time
import zipfile
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pytest

from keras_cmg import files
from keras_cmg.files import (
    atomic_file,
    atomic_folder,
    check_archive,
    check_writable,
    read_arrays,
    read_json,
    read_json_lines,
)
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
posix = pytest.mark.skipif(os.name != "posix", reason="folders are locked on POSIX systems alone")


def parts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def write_and_wait(path: str, writing: Event) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(bytes(10**6))
        writing.set()
        time.sleep(60)


@posix
def test_what_a_killed_writer_leaves_is_removed_by_the_next(tmp_path: Path) -> None:
    target, context = tmp_path / "a.bin", multiprocessing.get_context("fork")
    started = [context.Event() for _ in range(2)]
    writers = [context.Process(target=write_and_wait, args=(str(target), e)) for e in started]
    for writer, event in zip(writers, started, strict=True):
        writer.start()
        assert event.wait(60)
    writers[0].kill()
    writers[0].join()
    assert len(parts(tmp_path)) == 2
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"whole")
    # That of the process that still writes stays.
    assert len(parts(tmp_path)) == 1
    writers[1].kill()
    writers[1].join()
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"again")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def write_folder(path: str, name: str, count: int) -> None:
    for _ in range(count):
        with atomic_folder(path) as folder:
            for part in ("a", "b"):
                (folder / part).write_text(name)


@posix
def test_two_writers_and_a_reader_of_one_folder(tmp_path: Path) -> None:
    target, context = tmp_path / "out", multiprocessing.get_context("fork")
    write_folder(str(target), "first", 1)
    writers = [context.Process(target=write_folder, args=(str(target), name, 150)) for name in "xy"]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        assert target.is_dir()
        reads += 1
        time.sleep(0.0005)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert reads > 20
    assert len({(target / part).read_text() for part in ("a", "b")}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), atomic_folder(tmp_path, overwrite=False):
        pass
    with (
        pytest.raises(FileExistsError, match="by another process"),
        atomic_folder(tmp_path / "a", overwrite=False) as folder,
    ):
        (folder / "late").touch()
        (tmp_path / "a").mkdir()
        (tmp_path / "a/early").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["early"]
    assert parts(tmp_path) == []


DAMAGED_JSON = {
    "deep": b"[" * 10**6,
    "not UTF-8": b"\xff{}",
    "a number of many digits": b'{"a": ' + b"1" * 10**5 + b"}",
    "a list": b"[]",
    "cut": b'{"a": ',
}


@pytest.mark.parametrize("name", DAMAGED_JSON)
def test_damaged_json_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(DAMAGED_JSON[name])
    for read in (read_json, read_json_lines):
        with pytest.raises(ValueError, match=r"a\.json") as caught:
            read(path)
        assert len(str(caught.value)) < 1000


def test_an_archive_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(2**25))
    for read in (check_archive, read_arrays):
        with pytest.raises(ValueError, match="must unpack to at most 100 times its size"):
            read(path)
    np.savez_compressed(path, a=np.zeros(2**20))
    assert read_arrays(path)["a"].shape == (2**20,)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"(" * 400,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999,), }",
        b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }",
        b"'''",
        b"{" * 9000,
    ],
    ids=["deep", "terabytes", "objects", "no end", "many braces"],
)
def test_headers_of_arrays_are_not_followed(tmp_path: Path, header: bytes) -> None:
    padded = header.ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + bytes(64)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", member)
    with pytest.raises(ValueError, match=r"a\.npz must be an \.npz file"):
        read_arrays(tmp_path / "a.npz")


def test_no_pickle_in_an_archive_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.array([{}], object))
    with pytest.raises(ValueError, match=r"a\.npz must be an \.npz file"):
        read_arrays(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("note.txt", json.dumps({}))
    with pytest.raises(ValueError, match="must hold arrays alone"):
        read_arrays(tmp_path / "a.npz")


def test_a_place_that_cannot_be_written_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "new" / "run", "--out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "file", "--clean")
    with pytest.raises(ValueError, match=r"cannot write --out .*new: Not a directory: .*file"):
        check_writable(tmp_path / "file" / "new", "--out")

    def refuse(dir: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(ValueError, match=r"cannot write --out .*run: Read-only file system"):
        check_writable(tmp_path / "run", "--out")


def test_a_folder_is_written_inside_of_one_that_is_being_written(tmp_path: Path) -> None:
    # In another process: waiting for a lock of one's own would never end.
    script = (
        "import sys\n"
        "from data_tools.io.files import atomic_folder, scratch_folder\n"
        "with scratch_folder(sys.argv[1] + '/run') as scratch:\n"
        "    with atomic_folder(scratch / 'index') as built:\n"
        "        (built / 'a.txt').touch()\n"
        "    print((scratch / 'index' / 'a.txt').is_file())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "True"
