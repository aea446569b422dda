"""Raw files of the digits data set: addresses, checksums and readers.

Spoken: Free Spoken Digit Dataset, Z. Jackson and contributors (CC BY-SA 4.0).
Handwritten: MNIST, Y. LeCun, C. Cortes, C. Burges (CC BY-SA 3.0).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import zipfile
from pathlib import Path

import numpy as np

from data_tools.io import download
from data_tools.io.files import cache_folder, check_archive, reading
from data_tools.raw.waveforms import read_wav

SAMPLE_RATE = 8000
FSDD_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
FSDD = "fsdd.zip"
FSDD_URLS = (
    f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{FSDD_COMMIT}.zip",
    f"https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/{FSDD_COMMIT}",
)
MNIST_URLS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
SHA256 = {
    "fsdd.zip": "a2e8a660492f28d9eed6270b290d26cbc5c81d6077ce87d3c0ad5adf4d4ee696",
    "train-images-idx3-ubyte.gz": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}
"""Checksums of the contents, as servers repack the archives. MNIST: of the unpacked file.
FSDD: over the 3,000 recordings in order, each as name, zero byte, digest of the file."""

MAX_IDX_BYTES = 2**28
_RECORDING = re.compile(r"(?:.*/)?recordings/((\d)_([a-z]+)_(\d+))\.wav")


def read_recordings(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Reads the recordings of an FSDD archive.

    Args:
        path: the zip archive, with `recordings/{digit}_{speaker}_{index}.wav` in any folder.

    Returns:
        Waveforms (samples,) float32 by name `{digit}_{speaker}_{index}`, and the checksum of the
        sorted contents.

    Raises:
        ValueError: if the archive or a recording in it is damaged, or there is none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "fsdd.zip")
        ...     zipfile.ZipFile(path, "w").close()
        ...     read_recordings(path)
        Traceback (most recent call last):
        ...
        ValueError: ...fsdd.zip must hold `recordings/*.wav`. Received an archive without any
    """
    waveforms, digest = {}, hashlib.sha256()
    with reading(path, "be a whole zip archive"):
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            members = {
                match[1]: name
                for name in archive.namelist()
                if (match := _RECORDING.fullmatch(name))
            }
            for name in sorted(members, key=lambda name: f"{name}.wav"):
                content = archive.read(members[name])
                digest.update(f"{name}.wav".encode() + b"\0" + hashlib.sha256(content).digest())
                waveforms[name] = read_wav(content, f"{path.name}/{members[name]}", SAMPLE_RATE)
    if not waveforms:
        raise ValueError(f"{path} must hold `recordings/*.wav`. Received an archive without any")
    return waveforms, digest.hexdigest()


def read_idx(path: Path) -> tuple[np.ndarray, str]:
    """Reads the array of a gzipped IDX file of unsigned bytes.

    Args:
        path: the file.

    Returns:
        The array, uint8, and the checksum of the unpacked file.

    Raises:
        ValueError: if the file is damaged or truncated, or is not an IDX file of bytes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "labels.gz")
        ...     content = b"\\0\\0\\x08\\x01" + b"\\0\\0\\0\\x02" + b"\\x07\\x03"
        ...     _ = path.write_bytes(gzip.compress(content))
        ...     read_idx(path)[0]
        array([7, 3], dtype=uint8)
    """
    with reading(path, "be a whole gzip file"):
        with gzip.open(path) as stream:
            content = stream.read(MAX_IDX_BYTES + 1)
        if len(content) > MAX_IDX_BYTES:
            raise ValueError(f"{path} must unpack to at most {MAX_IDX_BYTES} bytes")
    if len(content) < 4 or content[:3] != b"\0\0\x08" or content[3] not in (1, 3):
        raise ValueError(
            f"{path} must begin with the IDX magic number 2049 (labels) or 2051 (images). "
            f"Received: {int.from_bytes(content[:4], 'big')}"
        )
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path} must hold as many bytes as its header announces, {shape} after {start}. "
            f"Received: {len(content)} in all"
        )
    values = np.frombuffer(content, np.uint8, offset=start)
    return values.reshape(shape), hashlib.sha256(content).hexdigest()


def require(path: Path, digest: str) -> None:
    """Raises a ValueError unless a raw file has the known contents of its name.

    Args:
        path: the file.
        digest: checksum of its contents, as `read_recordings` and `read_idx` give it.

    Raises:
        ValueError: if the content differs.

    Example:
        >>> require(Path("fsdd.zip"), SHA256["fsdd.zip"])
    """
    if digest != SHA256[path.name]:
        raise ValueError(
            f"{path} must have the known contents (sha256 {SHA256[path.name]}). Received: {digest}"
        )


def find(root: str | Path | None) -> Path:
    """Finds the folder of the five raw files; downloads missing files if no folder is given.

    Args:
        root: folder that holds them; the download cache if None.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if a named folder lacks a file, or a download failed.

    Example:
        >>> find("nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: `root` must be a folder with ... Leave `root` out to download them.
    """
    if root is not None:
        missing = [name for name in SHA256 if not Path(root, name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"`root` must be a folder with {list(SHA256)}; {root} lacks {missing}. "
                "Leave `root` out to download them."
            )
        return Path(root)
    folder = cache_folder() / "digits"
    for name in SHA256:
        read = read_recordings if name == FSDD else read_idx
        urls = FSDD_URLS if name == FSDD else [address + name for address in MNIST_URLS]

        def check(path: Path, read=read, name=name) -> None:
            require(path.with_name(name), read(path)[1])

        download.fetch(urls, folder / name, check)
    return folder
