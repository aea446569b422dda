"""Reads and writes rows of `.npy` files without a memory map, so that a short file is an error."""

from __future__ import annotations

import os
import threading
import zlib
from pathlib import Path

import numpy as np

from data_tools.io.files import reading, shorten
from data_tools.store.schema import Field

_SEEK = threading.Lock()


def create(path: Path, field: Field, num_rows: int) -> None:
    """Creates a `.npy` file of zeros, sparse if the file system supports it.

    Args:
        path: the file.
        field: what a row is.
        num_rows: how many rows there are.

    Example:
        >>> create(Path("a.npy"), Field((2,)), 3)
        >>> np.load("a.npy").shape
        (3, 2)
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(field.stored),
        "fortran_order": False,
        "shape": (num_rows, *field.shape),
    }
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + num_rows * field.num_bytes)


def checksum(array: np.ndarray) -> int:
    """Computes the CRC-32 of the bytes of an array.

    Args:
        array: contiguous, of any shape.

    Returns:
        Integer below 2**32.

    Example:
        >>> checksum(np.frombuffer(b"123456789", np.uint8)) == 0xCBF43926
        True
    """
    return zlib.crc32(array.data.cast("B"))


class RowFile:
    """A `.npy` file opened for reading or writing rows; any number of threads may read.

    Args:
        path: the file.
        field: what its rows must be.
        write: whether rows can be written.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a `.npy` file of such rows, or is truncated.

    Example:
        >>> np.save("rows.npy", np.arange(6, dtype="<f2").reshape(3, 2))
        >>> file = RowFile("rows.npy", Field((2,)))
        >>> out = np.empty((2, 2), "<f2")
        >>> file.read_into(1, out)
        >>> out.tolist()
        [[2.0, 3.0], [4.0, 5.0]]
        >>> file.close()
    """

    def __init__(self, path: str | os.PathLike[str], field: Field, write: bool = False) -> None:
        self.path = Path(path)
        self.field = field
        if not self.path.is_file():
            raise FileNotFoundError(f"a shard must hold {self.path.name}; {path} does not exist")
        self._stream = self.path.open("r+b" if write else "rb", buffering=0)
        try:
            shape, dtype = self._read_header()
            self.num_rows = shape[0]
            size = self._start + self.num_rows * field.num_bytes
            found = os.fstat(self._stream.fileno()).st_size
            if shape[1:] != field.shape or dtype != field.stored:
                raise ValueError(
                    f"{path} must hold rows of {field.dtype} and shape {field.shape}. "
                    f"Received: {shorten(dtype)} of shape {shorten(shape)}"
                )
            if found != size:
                raise ValueError(f"{path} must have {size} bytes. Received: {found}")
        except BaseException:
            self._stream.close()
            raise

    def _read_header(self) -> tuple[tuple[int, ...], np.dtype]:
        with reading(self.path, "be a .npy file"):
            version = np.lib.format.read_magic(self._stream)
            if version != (1, 0):
                raise ValueError(f"version {version} of the format")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(self._stream)
        if fortran or not shape:
            raise ValueError(f"{self.path} must hold rows in C order. Received shape {shape}")
        self._start = self._stream.tell()
        return shape, dtype

    def read_into(self, row: int, out: np.ndarray) -> None:
        """Reads rows from `row` on into an array (rows, ...) of the stored dtype.

        Raises:
            ValueError: if the file ends before these rows.
        """
        view = out.data.cast("B")
        position = self._start + row * self.field.num_bytes
        while len(view):
            count = self._read_at(view, position)
            if count == 0:
                raise ValueError(f"{self.path} must hold row {row}; it is truncated")
            view, position = view[count:], position + count

    def _read_at(self, view: memoryview, position: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._stream.fileno(), [view], position)
        with _SEEK:
            self._stream.seek(position)
            return self._stream.readinto(view)

    def write(self, row: int, array: np.ndarray) -> None:
        """Writes one row, of the stored dtype."""
        view = np.ascontiguousarray(array).data.cast("B")
        self._stream.seek(self._start + row * self.field.num_bytes)
        while len(view):
            view = view[self._stream.write(view) :]

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def __del__(self) -> None:
        # If a cache drops a file that a thread still reads, its last user closes it.
        if hasattr(self, "_stream"):
            self._stream.close()
