"""Encoded clips of one modality, with their names."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class EncodedClips(NamedTuple):
    """Clips of one modality as `keras_cmg.CrossModalEncoder.encode` returns them."""

    names: tuple[str, ...]
    """A name per clip: its path as given, its words, or its number."""
    vectors: np.ndarray
    """Float32 `(clips, dim)`, the vectors that a search compares."""
    indices: np.ndarray
    """Int `(clips,)`, the code of each clip; `(clips, *index_shape)` of a quantiser of several
    indices; `(clips, 0)` of a model without codes."""
    features: np.ndarray
    """Float32 `(clips, frames, ...)`, the features that were encoded."""
    modality: str
    """Name of the modality."""
    files: tuple[str, ...] = ()
    """A path per clip; empty where clips were given as words or features."""
    failures: tuple[tuple[str, str], ...] = ()
    """Name and reason of each clip that could not be read and was left out."""
