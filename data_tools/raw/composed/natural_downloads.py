"""The files of the natural data set from their public addresses, at pinned commits."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io import download
from data_tools.io.files import atomic_file, cache_folder, read_json, reading
from data_tools.raw.composed import keras_pictures

LISTING = Path(__file__).with_name("natural_files.json")
"""Collection to repository, commit and folders; of a folder the names of its files and the
checksum of their contents, see `folder_checksum`."""
ARCHIVES = (
    "https://codeload.github.com/{repository}/zip/{commit}",
    "https://github.com/{repository}/archive/{commit}.zip",
)
MAX_FILE_BYTES = 2**24


def folder_checksum(contents: Mapping[str, bytes]) -> str:
    """Checksum of the files of a folder, in the order of their names.

    Args:
        contents: name to content.

    Returns:
        64 hexadecimal digits: SHA-256 over name, zero byte and digest of each file.

    Example:
        >>> folder_checksum({"a.txt": b"a"})[:8]
        '0ad5cf3c'
    """
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(name.encode() + b"\0" + hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()


def find(
    folder: Path | None = None,
    addresses: Sequence[str] | None = None,
    collections: Sequence[str] | None = None,
) -> Path:
    """Folder of the collections; downloads what is missing.

    Photographs of CIFAR come from `keras.datasets`, and from their repository if that fails.

    Args:
        folder: where they go; into the download cache if None.
        addresses: of an archive, with `{repository}` and `{commit}`, tried in order; those of
            GitHub if None.
        collections: names of those to get; all if None.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if a download failed; the message names every address and the reason.
    """
    folder = cache_folder() / "natural" if folder is None else folder
    for collection, listed in read_json(LISTING).items():
        target = folder / collection
        wanted = collections is None or collection in collections
        if not wanted or _is_whole(target, listed["folders"]):
            continue
        reason = ""
        if collection in keras_pictures.COLLECTIONS:
            try:
                keras_pictures.write_pictures(collection, listed["folders"], target)
                _compare(collection, listed["folders"], target)
                continue
            except (FileNotFoundError, ValueError) as error:
                reason = f"{error}\n"
        archive = folder / f"{collection}.zip"
        names = {name: listed[name] for name in ("repository", "commit")}
        templates = ARCHIVES if addresses is None else addresses
        urls = [address.format(**names) for address in templates]
        try:
            download.fetch(urls, archive, _check(collection, listed["folders"]))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{reason}{error}") from error
        with zipfile.ZipFile(archive) as opened:
            for name, contents in _read(opened, listed["folders"]):
                (target / name).mkdir(parents=True, exist_ok=True)
                for file, content in contents.items():
                    with atomic_file(target / name / file) as temporary:
                        temporary.write_bytes(content)
        archive.unlink()
    return folder


def _compare(collection: str, folders: Mapping[str, Any], target: Path) -> None:
    """Warns if files that were encoded here differ from the published ones."""
    changed = []
    for name, listed in folders.items():
        contents = {file: (target / name / file).read_bytes() for file in listed["files"]}
        if folder_checksum(contents) != listed["sha256"]:
            changed.append(name)
    if changed:
        warnings.warn(
            f"{len(changed)} of {len(folders)} folders of {collection} in {target} differ from the "
            "published files, since this version of Pillow encodes pictures in another way, or "
            "since the batches of Keras have another order",
            stacklevel=3,
        )


def _is_whole(target: Path, folders: Mapping[str, Any]) -> bool:
    return all(
        (target / name / file).is_file()
        for name, listed in folders.items()
        for file in listed["files"]
    )


def _read(archive: zipfile.ZipFile, folders: Mapping[str, Any]) -> Any:
    """Contents of the listed files, folder by folder; other members are not looked at."""
    # An archive has one folder at the top, named after repository and commit.
    members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    for name, listed in folders.items():
        contents = {}
        for file in listed["files"]:
            info = members.get(f"{name}/{file}".removeprefix("./"))
            if info is None or info.file_size > MAX_FILE_BYTES:
                raise ValueError(f"the archive must hold {name}/{file}")
            contents[file] = archive.read(info)
        yield name, contents


def _check(collection: str, folders: Mapping[str, Any]) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        with reading(path, "be a zip archive"), zipfile.ZipFile(path) as archive:
            for name, contents in _read(archive, folders):
                found, expected = folder_checksum(contents), folders[name]["sha256"]
                if found != expected:
                    raise ValueError(
                        f"{collection}/{name} must have the checksum {expected}. Received: {found}"
                    )

    return check
