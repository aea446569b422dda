"""A clip of an index, and a clip that a search found."""

from __future__ import annotations

from typing import NamedTuple


class IndexedClip(NamedTuple):
    """A clip of a `keras_cmg.search.ClipIndex`."""

    name: str
    modality: str
    label: str = ""
    """Name of its class; empty if it has none."""
    file: str = ""
    """Path of its file; empty if it has none."""
    codes: tuple[int, ...] = ()
    """Its codes: one, or one of each level or group of the quantiser. Codes of the second level or
    group are numbered after those of the first, and so on."""
    text: str = ""
    """Its words; empty if it has none."""


class Hit(NamedTuple):
    """A clip that `keras_cmg.search.ClipIndex.search` found."""

    name: str
    modality: str
    score: float
    """Cosine similarity of the vectors of query and clip, at most 1."""
    label: str
    """Name of its class; empty if it has none."""
    shared_codes: tuple[int, ...]
    """Those of its codes that the query has too."""
    file: str = ""
    """Path of its file; empty if it has none."""
    codes: tuple[int, ...] = ()
    """Its codes, as in `IndexedClip`."""
    text: str = ""
    """Its words; empty if it has none."""
