"""Groups and collections of the files that prepared clips are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from data_tools.io import feature_folder as layout
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.files import read_record_lines, shorten
from data_tools.raw.base import Clip
from data_tools.raw.rendering import read_clips

ITEM = {"modality": str, "name": str, "group": str, "collection": str}
"""Form of a line of the file of origins."""
KINDS = {"recordings": "audio", "images": "video"}
"""Names of sources of digits to the modality."""


@dataclasses.dataclass(frozen=True)
class ClipOrigins:
    """Groups and collections of the material of one clip, by modality.

    A modality that has no material, such as the missing text of a class without captions, has no
    entry. Names are in the order of their first use.

    Args:
        groups: of the event: `freesound:ID` or the file of a recording, the files of photographs,
            `youtube:ID` of a caption.
        collections: of the event, such as `("ESC-10",)`; empty names where the folder has none.
        background: groups of the segments outside of the event.

    Example:
        >>> ClipOrigins({"audio": ("freesound:7",)}, {"audio": ("ESC-10",)}, {}).groups["audio"]
        ('freesound:7',)
    """

    groups: Mapping[str, tuple[str, ...]]
    collections: Mapping[str, tuple[str, ...]]
    background: Mapping[str, tuple[str, ...]]


def read_clip_origins(folder: layout.FeatureFolder) -> list[ClipOrigins]:
    """Reads groups and collections of the clips of a prepared folder, in the order of the rows.

    Clips that share a group are not independent: resample groups, not clips, for intervals of
    results. Files of data sets without groups ("digits") are groups of their own.

    Args:
        folder: the folder.

    Returns:
        The origins of each clip; those of a split are at the rows of `folder.order(split)`.

    Raises:
        FileNotFoundError: if the folder was not prepared here and has no descriptions.
        ValueError: if the file of origins lacks a file that a clip is made of.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 3})
        ...     origins = read_clip_origins(layout.FeatureFolder(path))
        >>> len(origins), origins[0].groups
        (3, {})
    """
    path = folder.root / layout.ITEMS
    known = _read(path) if path.is_file() else None
    return [_origins(clip, known, path) for clip in read_clips(folder)]


def _read(path: Path) -> dict[tuple[str, str], tuple[str, str]]:
    return {
        (line["modality"], line["name"]): (line["group"], line["collection"])
        for line in read_record_lines(path, ITEM)
    }


def _origins(
    clip: Clip, known: Mapping[tuple[str, str], tuple[str, str]] | None, path: Path
) -> ClipOrigins:
    groups, collections, background = {}, {}, {}
    for kind, names in clip.sources.items():
        modality = KINDS.get(kind, kind)
        try:
            found = [(name, "") if known is None else known[modality, name] for name in names]
        except KeyError as error:
            raise ValueError(
                f"{path} must list the files of all clips; {shorten(error, 200)} of "
                f"{shorten(clip.id, 100)} is missing"
            ) from error
        event, outside = found, []
        # Sources have an entry per segment of the clip, or are of the event alone.
        if len(found) == NUM_SEGMENTS:
            event = found[clip.start : clip.end]
            outside = [*found[: clip.start], *found[clip.end :]]
        groups[modality] = _distinct(group for group, _ in event)
        collections[modality] = _distinct(collection for _, collection in event)
        background[modality] = _distinct(group for group, _ in outside)
    return ClipOrigins(groups, collections, background)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
