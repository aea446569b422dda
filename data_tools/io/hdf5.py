"""Reads arrays of untrusted HDF5 files in a process of their own, and writes arrays."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data_tools.io.engine_free import load_module

if TYPE_CHECKING:
    from keras_cmg import isolated_hdf5
    from keras_cmg.isolated_hdf5 import IsolatedArray
else:
    load_module("keras_cmg.extras")
    load_module("keras_cmg.faults")
    isolated_hdf5 = load_module("keras_cmg.isolated_hdf5")
    IsolatedArray = isolated_hdf5.IsolatedArray

KEY, ORDER_KEY = "avadataset", "order"
HEADER_BYTES = 2**16
"""Space that must be free for all of a file but its rows."""
MAX_WHOLE_BYTES = 2**28
"""Largest array that is read at once."""

list_arrays = isolated_hdf5.list_arrays


def open_array(path: Path, key: str = KEY) -> IsolatedArray:
    """Opens an array of numbers of an HDF5 file, without following links to other files.

    Args:
        path: the file.
        key: name of the array in it.

    Returns:
        The array, still on disk, to be closed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, lacks the array, keeps it in another file, or holds
            something else.

    Example:
        >>> import h5py, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.h5")
        ...     with h5py.File(path, "w") as file:
        ...         file[KEY] = np.zeros((2, 10, 3))
        ...     array = open_array(path)
        ...     array.close()
        >>> array.shape
        (2, 10, 3)
    """
    if not path.is_file():
        raise FileNotFoundError(f"a feature folder must hold {path.name}; {path} does not exist")
    return IsolatedArray(path, key)


def read_array(path: Path, key: str = KEY) -> np.ndarray:
    """Reads an array of numbers of an HDF5 file into memory.

    Args:
        path: the file.
        key: name of the array in it.

    Returns:
        The array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, lacks the array, or it is too large.

    Example:
        >>> import h5py, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "train_order.h5")
        ...     with h5py.File(path, "w") as file:
        ...         file[ORDER_KEY] = [2, 0]
        ...     read_array(path, ORDER_KEY)
        array([2, 0])
    """
    array = open_array(path, key)
    if array.nbytes > MAX_WHOLE_BYTES:
        raise ValueError(
            f"{path} must hold at most {MAX_WHOLE_BYTES} bytes under {key!r}. Received: "
            f"{array.nbytes}"
        )
    try:
        return array.read(range(len(array)))
    finally:
        array.close()


class ArrayWriter:
    """Writes an HDF5 file of one array, rows after rows.

    The HDF5 library writes the header alone: on a full disk it ends the process by a segmentation
    fault when it closes a file whose rows it could not write. Rows are written beside it, to the
    place that the header gives them.

    Args:
        path: the file.
        shape: shape of the whole array.
        dtype: of the array.
        key: name of the array in the file.

    Raises:
        OSError: if it cannot be written; the file is then incomplete.

    Example:
        >>> with ArrayWriter(Path("labels.h5"), (3, 2), "float32") as writer:
        ...     for start in range(3):
        ...         writer.append(np.full((1, 2), start))
        >>> read_array(Path("labels.h5")).tolist()
        [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
    """

    def __init__(
        self, path: Path, shape: Sequence[int], dtype: npt.DTypeLike, key: str = KEY
    ) -> None:
        import h5py

        self.dtype = np.dtype(dtype)
        if shutil.disk_usage(path.parent).free < HEADER_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with h5py.File(path, "w") as file:
            made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            made.set_layout(h5py.h5d.CONTIGUOUS)
            made.set_obj_track_times(False)
            # The place of the rows is known, and nothing is written there.
            made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            kind = h5py.h5t.py_create(self.dtype, logical=True)
            space = h5py.h5s.create_simple(tuple(shape))
            offset = h5py.h5d.create(file.id, key.encode(), kind, space, made).get_offset()
        self._stream = open(path, "r+b")  # noqa: SIM115
        # None where the array is empty.
        self._stream.seek(offset or 0)

    def append(self, values: np.ndarray) -> None:
        """Writes the next rows.

        Args:
            values: (rows, ...).
        """
        self._stream.write(np.ascontiguousarray(values, self.dtype).data)

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
