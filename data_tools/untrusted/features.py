"""Reads a feature array from `<id>.zip` (a single pickled array) or `<id>.npy`."""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data_tools.io.files import reading
from data_tools.untrusted.archives import MAX_RATIO, open_zip_member, regular_file
from data_tools.untrusted.bounds import MAX_BYTES, BoundedStream, describe
from data_tools.untrusted.pickles import MAX_AXES, read_pickled_array

SUFFIXES = (".zip", ".npy")
MAX_ID = 240
"""Bytes of the longest id, which is the name of a file without its suffix."""
OTHER_SUFFIXES = (
    *(".pkl", ".pickle", ".npz", ".pt", ".pth", ".mat", ".h5", ".csv", ".txt", ".json", ""),
    *(".rar", ".7z", ".gz", ".tar", ".tar.gz", ".wav", ".mp3", ".mp4", ".jpg", ".png"),
)
"""Extensions of other files, which an error names if they are there instead of a feature."""

_LENGTHS = {b"\1\0": "<H", b"\2\0": "<I"}
_HEADER = re.compile(
    r"\{'descr': '([<>=|]?(?:b1|[iu][1248]|f[248]))', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,15}, ?)*(?:\d{1,15})?)\), ?\}\s*"
)
"""Header of plain numbers. NumPy's own reader evaluates the header as a Python literal."""


def find_feature(folder: str | os.PathLike[str], id: str) -> Path:
    """Finds the file of a clip in a folder of features.

    Args:
        folder: the folder.
        id: name of the clip, the file's name without its ending.

    Returns:
        The path: `<id>.zip`, else `<id>.npy`.

    Raises:
        FileNotFoundError: if neither is there; the message names files with other extensions.
        ValueError: if the id would lead out of the folder.

    Example:
        >>> find_feature("nowhere", "clip1")
        Traceback (most recent call last):
        ...
        FileNotFoundError: nowhere must hold clip1.zip or clip1.npy. Received neither
    """
    folder = Path(folder)
    plain = id and id not in (".", "..") and not any(character in id for character in "/\\\0")
    if not plain or len(id.encode(errors="replace")) > MAX_ID:
        raise ValueError(f"an id must be a plain file name. Received: {describe(id)}")
    for suffix in SUFFIXES:
        path = folder / (id + suffix)
        if path.exists():
            return path
    wanted = " or ".join(id + suffix for suffix in SUFFIXES)
    # Listing the folder would take too long if many files are missing.
    others = [id + suffix for suffix in OTHER_SUFFIXES if (folder / (id + suffix)).exists()]
    raise FileNotFoundError(
        f"{folder} must hold {wanted}. Received {', '.join(others) or 'neither'}"
    )


def read_feature(
    path: str | os.PathLike[str], max_bytes: int = MAX_BYTES, max_ratio: float = MAX_RATIO
) -> np.ndarray:
    """Reads the array of one clip from an untrusted file.

    Args:
        path: a `.zip` archive of one `.pkl` (or `.npy`) member, or a `.npy` file.
        max_bytes: size that the array may have.
        max_ratio: largest compression ratio, for files that unpack to more than a mebibyte.

    Returns:
        The array as stored, of booleans, integers or floats; not writeable.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or too large, or holds anything but an array of numbers;
            the message names the file and the rule. No code of it is run.

    Example:
        >>> import pickle, tempfile, zipfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with zipfile.ZipFile(folder + "/a.zip", "w") as archive:
        ...         archive.writestr("a.pkl", pickle.dumps(np.arange(3.0)))
        ...     read_feature(folder + "/a.zip")
        array([0., 1., 2.])
    """
    path = Path(path)
    with reading(path, "hold an array of numbers"):
        return _read_feature(path, max_bytes, max_ratio)


def _read_feature(path: Path, max_bytes: int, max_ratio: float) -> np.ndarray:
    if path.suffix == ".npy":
        with open(regular_file(path), "rb") as stream:
            return read_npy(stream, max_bytes, str(path))
    if path.suffix != ".zip":
        raise ValueError(f"{path} must end in one of {SUFFIXES}. Received: {path.suffix!r}")
    with open_zip_member(path, max_bytes + 4096, max_ratio) as (member, stream):
        name = f"{path}:{member}"
        if member.endswith(".pkl"):
            return read_pickled_array(stream, max_bytes + 4096, name)
        if member.endswith(".npy"):
            return read_npy(stream, max_bytes, name)
        raise ValueError(f"{path} must hold a .pkl or .npy file. Received: {describe(member)}")


def read_npy(stream: BinaryIO, max_bytes: int = MAX_BYTES, name: str = "the file") -> np.ndarray:
    """Reads an array of numbers in NumPy's `.npy` format, which must fill the stream.

    Args:
        stream: binary stream at its start.
        max_bytes: size that the array may have.
        name: its name in error messages.

    Returns:
        The array, of booleans, integers or floats; not writeable.

    Raises:
        ValueError: if the stream holds anything else, is truncated or too large.

    Example:
        >>> import io
        >>> stream = io.BytesIO()
        >>> np.save(stream, np.arange(3))
        >>> _ = stream.seek(0)
        >>> read_npy(stream)
        array([0, 1, 2])
    """
    bounded = BoundedStream(stream, max_bytes + 4096, name)
    start = bounded.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in _LENGTHS:
        raise ValueError(f"{name} must be a .npy file. Received one that begins {start!r}")
    length = struct.Struct(_LENGTHS[start[6:]])
    packed = bounded.read(length.size)
    size = length.unpack(packed)[0] if len(packed) == length.size else 0
    header = bounded.read(min(size, 4096)).decode("latin-1")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise ValueError(
            f"{name} must have the header of a .npy file of booleans, integers or floats. "
            f"Received: {header.strip()[:80]!r}"
        )
    dtype = np.dtype(match[1].replace("|", "="))
    fortran = match[2] == "True"
    shape = tuple(int(size) for size in match[3].split(",") if size.strip())
    if len(shape) > MAX_AXES:
        raise ValueError(f"{name} must have at most {MAX_AXES} axes. Received: {len(shape)}")
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        raise ValueError(f"{name} must hold at most {max_bytes} bytes. Received: {size}")
    content = bounded.read(size)
    if len(content) != size or not bounded.at_end():
        raise ValueError(
            f"{name} must hold as many bytes as {shape} of {dtype} take ({size}). Received "
            f"{f'only {len(content)}' if len(content) < size else 'more'}"
        )
    values = np.frombuffer(content, dtype) if content else np.empty(0, dtype)
    return values.reshape(shape, order="F" if fortran else "C")
