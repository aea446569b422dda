"""HDF5 files are read in another process: crashes, bombs and changes cost the file alone."""

from __future__ import annotations

import gc
import multiprocessing
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from keras_cmg import isolated_hdf5
from keras_cmg.isolated_hdf5 import IsolatedArray, count_weights, list_arrays
from tests.helpers.hostile_files import write_chunk_bomb, write_crashing_hdf5

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
VALUES = np.arange(60, dtype="f4").reshape(10, 2, 3)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Arrays in one piece and in packed chunks."""
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["avadataset"] = VALUES
        file.create_dataset("packed", data=VALUES, chunks=(2, 2, 3), compression=1)
    return tmp_path / "good.h5"


def test_rows_are_those_of_h5py_after_a_crash_too(good: Path, tmp_path: Path) -> None:
    array, packed = IsolatedArray(good, "avadataset"), IsolatedArray(good, "packed")
    rows = [7, 0, 0, 9]
    np.testing.assert_array_equal(array.read(rows), VALUES[rows])
    crashing = write_crashing_hdf5(tmp_path / "crash.h5")
    with pytest.raises(ValueError, match=r"crash\.h5 must be a whole HDF5 file; it crashes"):
        IsolatedArray(crashing, "avadataset").read([0, 1])
    with pytest.raises(ValueError, match=r"crash\.h5 must hold whole weights; it crashes"):
        count_weights(crashing)
    np.testing.assert_array_equal(array.read(rows), VALUES[rows])
    np.testing.assert_array_equal(packed.read(range(10)), VALUES)
    assert array.read([]).shape == (0, 2, 3)
    with pytest.raises(ValueError, match="`rows` must lie between 0 and 9"):
        array.read([10])


def test_a_huge_chunk_is_refused_before_it_is_read(tmp_path: Path) -> None:
    bomb = write_chunk_bomb(tmp_path / "bomb.h5")
    for read in (lambda: IsolatedArray(bomb, "avadataset"), lambda: count_weights(bomb)):
        with pytest.raises(ValueError, match=r"bomb\.h5 must have chunks of at most"):
            read()


def test_weights_beyond_the_size_of_the_file_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("never/written", (2**30,), "f4", chunks=(2**20,))
    with pytest.raises(ValueError, match=r"a\.h5 must hold arrays of at most"):
        count_weights(tmp_path / "a.h5")


def test_links_to_other_files_are_not_followed(good: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["avadataset"] = h5py.ExternalLink("good.h5", "avadataset")
    with pytest.raises(ValueError, match=r"a\.h5 must hold an array named"):
        IsolatedArray(tmp_path / "a.h5", "avadataset")
    with pytest.raises(ValueError, match="must hold all arrays itself"):
        count_weights(tmp_path / "a.h5")
    assert list_arrays(tmp_path / "a.h5") == {}


def test_a_loop_of_groups_ends(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a/b")
        group["back"] = file["a"]
        file["a/x"] = np.ones(3)
    assert count_weights(tmp_path / "a.h5") == 3


def test_a_file_that_was_changed_is_noticed(good: Path) -> None:
    array = IsolatedArray(good, "avadataset")
    array.close()
    with h5py.File(good, "w") as file:
        file["avadataset"] = VALUES[:, 0]
    with pytest.raises(ValueError, match="it was changed"):
        array.read([0])


def test_a_slow_answer_ends(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated_hdf5.Child.ask, "__defaults__", (None, 0.0))
    with pytest.raises(ValueError, match="it takes longer than 0 s"):
        IsolatedArray(good, "avadataset")


def test_a_deleted_array_holds_no_lock(good: Path) -> None:
    array = IsolatedArray(good, "avadataset")
    array.read([0])
    del array
    gc.collect()
    with h5py.File(good, "w"):
        pass


def _read(path: Path, row: int, out: multiprocessing.Queue) -> None:
    out.put(IsolatedArray(path, "avadataset").read([row])[0].tolist())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX systems alone")
def test_a_forked_process_reads_by_its_own(good: Path) -> None:
    IsolatedArray(good, "avadataset").read([0])
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    processes = [context.Process(target=_read, args=(good, row, out)) for row in (1, 2)]
    for process in processes:
        process.start()
    found = sorted(out.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert found == VALUES[1:3].tolist()


def test_files_that_are_no_hdf5_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        IsolatedArray(tmp_path / "none.h5", "a")
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"a\.h5 must be an HDF5 file"):
        IsolatedArray(tmp_path / "a.h5", "a")
