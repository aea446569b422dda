"""The material of a composed data set: one recording, picture or caption each."""

from __future__ import annotations

import dataclasses
import hashlib

MODALITIES = ("audio", "video", "text")
BACKGROUND = ""
"""Category of an item that belongs to no class."""
SHARES = {"test": 0.25, "val": 0.15}
"""Of the groups; the rest are for training."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One recording, picture or caption.

    Args:
        modality: "audio", "video" or "text".
        name: unique within the modality: path below the root, or number of a caption.
        category: class name, or `BACKGROUND`.
        group: what must not be divided between splits, such as a recording of which there are
            several cuts.
        collection: where it comes from.
        path: of the file; empty for captions and for what is generated.
        caption: the sentence, for text.
        split: where it is fixed; by a hash of the group if empty.

    Example:
        >>> item = Item("audio", "dog/a.wav", "dog", "freesound:7", "ESC-10")
        >>> item.in_split
        'train'
    """

    modality: str
    name: str
    category: str
    group: str
    collection: str
    path: str = ""
    caption: str = ""
    split: str = ""

    @property
    def in_split(self) -> str:
        """The split it is in."""
        return self.split or split_of(self.group)


def split_of(group: str) -> str:
    """Split of a group, by its name alone: it is the same whatever else is there.

    Args:
        group: its name.

    Returns:
        "train", "val" or "test".

    Example:
        >>> [split_of(f"freesound:{number}") for number in (1, 2, 3, 4)]
        ['test', 'train', 'train', 'test']
    """
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    for split, share in SHARES.items():
        if place < share:
            return split
        place -= share
    return "train"
