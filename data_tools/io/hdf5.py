"""Reads arrays of numbers from HDF5 files of strangers, in a process of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
