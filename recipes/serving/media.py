"""Kinds of media files, and where the files of indexed clips are read from."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path

from data_tools.decoding.signatures import (
    CAPTIONS,
    PICTURES,
    SOUNDS,
    VIDEOS,
    DecodeError,
    kind_of,
)
from recipes.serving.limits import RefusedRequest

SUFFIXES = (*SOUNDS, *PICTURES, *VIDEOS, *CAPTIONS)
MODALITIES = {
    "sound": ("audio",),
    "picture": ("video", "image"),
    "video": ("video", "audio"),
    "words": ("text",),
}
"""Kind of a file to the names of the modalities that it can be, the usual one first."""


def media_kind(name: str) -> str:
    """Returns the kind of a file by its name: "sound", "picture", "video", "words", or "".

    Args:
        name: name of the file.

    Example:

    >>> media_kind("a/bark.OGG"), media_kind("notes.pdf")
    ('sound', '')
    """
    suffix = Path(name).suffix.lower()
    if suffix == ".m4a":
        return "sound"
    tables = {"sound": SOUNDS, "picture": PICTURES, "video": VIDEOS, "words": CAPTIONS}
    return next((kind for kind, table in tables.items() if suffix in table), "")


def modality_of(name: str, modalities: Sequence[str], asked: str = "") -> str:
    """Chooses the modality as which a file is encoded.

    Args:
        name: name of the file.
        modalities: modalities of the model.
        asked: modality that the request names; "" for the usual one.

    Returns:
        A modality of the model.

    Raises:
        RefusedRequest: if the file is of an unknown kind, or not of a modality of the model.

    Example:

    >>> modality_of("dog.mp4", ("audio", "video"))
    'video'
    >>> modality_of("dog.mp4", ("audio", "video"), "audio")
    'audio'
    """
    kind = media_kind(name)
    if not kind:
        known = " ".join(SUFFIXES)
        raise RefusedRequest(415, f"{name} must end with one of {known}")
    possible = [each for each in MODALITIES[kind] if each in modalities]
    if asked and asked not in possible:
        raise RefusedRequest(422, f"{name} is a {kind} and cannot be searched as {asked!r}")
    if not possible:
        raise RefusedRequest(422, f"the model has no modality for a {kind}: {list(modalities)}")
    return asked or possible[0]


class MediaFiles:
    """Reads the files that an index names, if they are media and inside one folder.

    Args:
        root: folder outside of which no file is read; None for any folder.

    Example:

    >>> MediaFiles().path("/etc/passwd") is None
    True
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = None if root is None else root.resolve()

    def path(self, file: str) -> Path | None:
        """Returns the path of a file that may be served, or None.

        Its name and its first bytes must be those of a sound, picture or video.

        Args:
            file: path in the index.
        """
        path = self._inside(file)
        try:
            if path is not None:
                kind_of(path)
        except (DecodeError, OSError):
            return None
        return path

    def media_type(self, path: Path) -> str:
        """Returns the media type of a file.

        Args:
            path: the file.
        """
        return mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    def _inside(self, file: str) -> Path | None:
        if not file:
            return None
        path = Path(file)
        if self.root is not None:
            path = (self.root / path).resolve()
            if not path.is_relative_to(self.root):
                return None
        return path
