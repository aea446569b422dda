"""Renders the signals of a prepared clip from its description."""

from __future__ import annotations

import os
from typing import Any

from data_tools.io import feature_folder as layout
from data_tools.io.files import read_record_lines, reading
from data_tools.raw.base import Clip, RawDataset
from data_tools.raw.registry import open_raw

CLIP = {
    **{"id": str, "split": str, "category": int, "start": int, "end": int, "caption": str},
    **{"seed": int, "sources?": {str: [str]}, "attributes?": dict},
}
"""Form of the description of a clip."""


def read_clips(folder: layout.FeatureFolder) -> list[Clip]:
    """Reads the descriptions of the clips of a prepared folder, in the order of the rows.

    Args:
        folder: the folder.

    Returns:
        The clips.

    Raises:
        FileNotFoundError: if the folder was not prepared here and has no descriptions.
        ValueError: if they are damaged.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 3})
        ...     [clip.id for clip in read_clips(layout.FeatureFolder(path))]
        ['train-00000', 'train-00001', 'train-00002']
    """
    path = folder.root / layout.CLIPS
    if not path.is_file():
        raise FileNotFoundError(f"a prepared folder must hold {layout.CLIPS}; {path} is missing")
    with reading(path, "describe a clip per line"):
        return [Clip(**line) for line in read_record_lines(path, CLIP)]


def open_dataset(folder: layout.FeatureFolder, raw: str | None = None) -> RawDataset:
    """Opens the raw data set from which a folder was prepared.

    Args:
        folder: the folder.
        raw: folder of the raw files now; where they were at the preparation if None.

    Returns:
        The data set.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 3})
        ...     open_dataset(layout.FeatureFolder(path)).name
        'synthetic'
    """
    manifest = folder.manifest
    with reading(folder.root / layout.MANIFEST, "name the data set and its options"):
        root = manifest["root"] if raw is None else raw
        return open_raw(str(manifest["dataset"]), root, **dict(manifest["options"]))


def render(root: str | os.PathLike[str], index: int, raw: str | None = None) -> dict[str, Any]:
    """Renders audio, pictures and caption of a clip of a prepared folder.

    Args:
        root: the folder.
        index: row of the clip.
        raw: folder of the raw files now; where they were at the preparation if None.

    Returns:
        A dict: `waveform` (samples,) float32, `sample_rate` in hertz, `frames` (10, height,
        width[, 3]) uint8, `caption`, and the `clip` itself.

    Raises:
        FileNotFoundError: if the folder or a raw file is missing.
        ValueError: if there is no such row.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 2})
        ...     clip = render(path, 1)
        >>> clip["waveform"].shape, clip["frames"].shape
        ((80000,), (10, 56, 56, 3))
    """
    folder = layout.FeatureFolder(root)
    clips = read_clips(folder)
    if not 0 <= index < len(clips):
        raise ValueError(f"`index` must be a row from 0 to {len(clips) - 1}. Received: {index}")
    dataset, clip = open_dataset(folder, raw), clips[index]
    return {
        "waveform": dataset.waveform(clip),
        "sample_rate": dataset.sample_rate,
        "frames": dataset.frames(clip),
        "caption": clip.caption,
        "clip": clip,
    }
