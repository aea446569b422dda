"""Reads arrays of numbers from HDF5 files, without following links to other files."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np

KEY, ORDER_KEY = "avadataset", "order"
MAX_ROW_BYTES, MAX_WHOLE_BYTES = 2**26, 2**28
"""Largest row of a clip, and largest array that is read at once."""


def open_array(path: Path, key: str = KEY) -> h5py.Dataset:
    """Opens an array of numbers of an HDF5 file, without following links to other files.

    Args:
        path: the file.
        key: name of the array in it.

    Returns:
        The array, still on disk; its `.file` is to be closed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, lacks the array, keeps it in another file, or holds
            something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.h5")
        ...     with h5py.File(path, "w") as file:
        ...         file[KEY] = np.zeros((2, 10, 3))
        ...     array = open_array(path)
        ...     shape = array.shape
        ...     array.file.close()
        >>> shape
        (2, 10, 3)
    """
    if not path.is_file():
        raise FileNotFoundError(f"a feature folder must hold {path.name}; {path} does not exist")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} must be an HDF5 file; opening it gave: {error}") from error
    try:
        _require_numbers(file, path, key)
    except ValueError:
        file.close()
        raise
    return file[key]


def _require_numbers(file: h5py.File, path: Path, key: str) -> None:
    # A link is checked before it is followed.
    link = file.get(key, getlink=True)
    array = file[key] if isinstance(link, h5py.HardLink) else None
    if not isinstance(array, h5py.Dataset):
        raise ValueError(f"{path} must hold an array named {key!r}. Received: {sorted(file)}")
    if array.is_virtual or array.external:
        raise ValueError(f"{path} must hold {key!r} itself. Received one kept in other files")
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise ValueError(
            f"{path} must hold rows of numbers under {key!r}. Received {array.dtype} of shape "
            f"{array.shape}"
        )
    size = math.prod(array.shape[1:]) * array.dtype.itemsize
    if size > MAX_ROW_BYTES:
        raise ValueError(
            f"{path} must have rows of at most {MAX_ROW_BYTES} bytes. Received: {size}"
        )


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
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "train_order.h5")
        ...     with h5py.File(path, "w") as file:
        ...         file[ORDER_KEY] = [2, 0]
        ...     read_array(path, ORDER_KEY)
        array([2, 0])
    """
    array = open_array(path, key)
    with array.file:
        if array.nbytes > MAX_WHOLE_BYTES:
            raise ValueError(
                f"{path} must hold at most {MAX_WHOLE_BYTES} bytes under {key!r}. Received: "
                f"{array.nbytes}"
            )
        try:
            return np.asarray(array)
        except OSError as error:
            raise ValueError(f"{path} must be whole; reading it gave: {error}") from error
