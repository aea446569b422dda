"""Prepares a feature folder from raw signals."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data_tools.features import AudioFeatures, TextFeatures, VideoFeatures
from data_tools.io import feature_folder as layout
from data_tools.io import hdf5
from data_tools.io.constants import SPLITS
from data_tools.io.files import atomic_folder, check_replaceable, sha256_file, shorten
from data_tools.io.progress import bar
from data_tools.raw.base import Clip, RawDataset
from data_tools.raw.extractors import Extractors
from data_tools.raw.registry import COMPOSED_DATASETS, open_raw

FORMAT = "keras-cmg features 2"
"""Increased whenever the same arguments give other numbers."""
FIT_CLIPS = 250
"""Training clips on which the features are fitted."""
CHUNK = 32
STORED_AS = {"audio": "float32", "video": "float16", "text": "float32", "labels": "float32"}
"""Half precision for the maps, which are by far the largest arrays."""
VERSIONED = ("numpy", "scipy", "scikit-learn", "pillow", "h5py")


def prepare(
    name: str,
    out: str | os.PathLike[str],
    root: str | None = None,
    seed: int = 0,
    num_clips: Mapping[str, int] | None = None,
    split: str | None = None,
    video_channels: int = 64,
    text_dim: int = 64,
    num_tokens: int = 10,
    audio_backend: str = "numpy",
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> Path:
    """Prepares the feature folder of a data set, unless the same is there already.

    Args:
        name: data set, "digits" or "synthetic".
        out: folder to write; it is written atomically.
        root: folder of the raw files; the data set's own default if None.
        seed: seed of the plan of clips and of the features.
        num_clips: clips of "train", "val" and "test"; a split left out is empty. The data set's
            own numbers if None.
        split: split of the data set; its first one if None.
        video_channels: channels of the video map.
        text_dim: size of a word vector.
        num_tokens: words kept of a caption.
        audio_backend: "numpy" or "tensorflow-io".
        overwrite: replace a prepared folder that was made otherwise.
        progress: show a progress bar.
        options: further arguments of the data set.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if a raw file is missing.
        ValueError: if an argument or a raw file is wrong, or `out` holds something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = prepare("synthetic", folder + "/features", num_clips={"train": 4, "val": 2})
        ...     sorted(file.name for file in path.glob("*_feature.h5"))
        ['audio_feature.h5', 'text_feature.h5', 'visual_feature.h5']
    """
    if name in COMPOSED_DATASETS:
        raise ValueError(f"`name` {name!r} must be given to `data_tools.prepare_composed`.")
    dataset = open_raw(name, root, split=split, **options)
    num_clips = dict(dataset.default_num_clips if num_clips is None else num_clips)
    check_num_clips(num_clips)
    arguments = {
        "seed": seed,
        "num_clips": num_clips,
        "video_channels": video_channels,
        "text_dim": text_dim,
        "num_tokens": num_tokens,
        "audio_backend": audio_backend,
    }
    identity = {
        "format": FORMAT,
        "dataset": name,
        "options": dataset.options(),
        "arguments": arguments,
        "sources": dataset.sources(),
    }
    out = Path(out)
    if overwrite:
        check_replaceable("out", out, layout.MANIFEST)
    elif out.exists() and is_prepared(out, identity):
        return out
    extractors = Extractors(
        AudioFeatures(dataset.sample_rate, audio_backend),
        VideoFeatures(video_channels, seed),
        TextFeatures(text_dim, num_tokens),
    )
    clips = dataset.plan(num_clips, seed)
    # One thread: the products are small, and the result must not depend on the machine's cores.
    with threadpool_limits(1), atomic_folder(out) as folder:
        _write_features(folder, dataset, clips, extractors, progress)
        write_descriptions(folder, dataset, clips)
        manifest = {
            **identity,
            "root": None if root is None else str(root),
            "sample_rate": dataset.sample_rate,
            "versions": {package: metadata.version(package) for package in VERSIONED},
            "files": {path.name: sha256_file(path) for path in sorted(folder.iterdir())},
        }
        text = json.dumps(manifest, indent=2) + "\n"
        (folder / layout.MANIFEST).write_text(text, encoding="utf-8")
    return out


def check_num_clips(num_clips: Mapping[str, int]) -> None:
    """Raises a ValueError unless there are clips of known splits, of "train" among them.

    Args:
        num_clips: number of clips by split.

    Raises:
        ValueError: if a split is unknown, "train" is missing or a number is below 1.

    Example:
        >>> check_num_clips({"train": 5})
    """
    if not set(num_clips) <= set(SPLITS) or num_clips.get("train", 0) < 1:
        raise ValueError(
            f"`num_clips` must give clips of {SPLITS}, at least one of 'train'. "
            f"Received: {dict(num_clips)}"
        )
    for split, count in num_clips.items():
        if count < 1:
            raise ValueError(f"`num_clips[{split!r}]` must be at least 1. Received: {count}")


def is_prepared(out: Path, identity: dict[str, Any]) -> bool:
    """Whether a folder holds the same preparation.

    Args:
        out: the folder.
        identity: entries of the manifest that tell preparations apart.

    Returns:
        Whether it does; False for an empty folder.

    Raises:
        ValueError: if it holds something else, or a file was changed.

    Example:
        >>> Path("empty").mkdir()
        >>> is_prepared(Path("empty"), {})
        False
    """
    if out.is_dir() and not any(out.iterdir()):
        return False
    advice = "Choose another folder, or overwrite this one."
    if not (out / layout.MANIFEST).is_file():
        raise ValueError(f"`out` must be a new or a prepared folder. Received: {out}. {advice}")
    folder = layout.FeatureFolder(out)
    manifest, files = folder.manifest, folder.listed_files()
    for key, value in identity.items():
        # Through JSON, so that both sides have equal types.
        if manifest.get(key) != json.loads(json.dumps(value)):
            raise ValueError(
                f"`out` must not hold another preparation; {out} was made with {key} = "
                f"{shorten(manifest.get(key))}, requested: {shorten(value)}. {advice}"
            )
    for file, digest in files.items():
        if not (out / file).is_file() or sha256_file(out / file) != digest:
            raise ValueError(f"{out / file} must be as it was written; it was changed. {advice}")
    return True


def _write_features(
    folder: Path, dataset: RawDataset, clips: list[Clip], extractors: Extractors, progress: bool
) -> None:
    extractors.fit(dataset, [clip for clip in clips if clip.split == "train"][:FIT_CLIPS])
    extractors.save(folder / layout.EXTRACTORS)
    starts = range(0, len(clips), CHUNK)
    with contextlib.ExitStack() as stack:
        arrays: dict[str, hdf5.ArrayWriter] = {}
        for start in _with_progress(starts, progress, dataset.name):
            part = extractors.encode(dataset, clips[start : start + CHUNK])
            for kind, values in part.items():
                # NumPy rounds to half precision: HDF5 1.14.6 halves values that round up to a
                # power of two.
                values = values.astype(STORED_AS[kind])
                if kind not in arrays:
                    shape = (len(clips), *values.shape[1:])
                    writer = hdf5.ArrayWriter(folder / layout.FILES[kind], shape, values.dtype)
                    arrays[kind] = stack.enter_context(writer)
                arrays[kind].append(values)


def write_descriptions(folder: Path, dataset: RawDataset, clips: list[Clip]) -> None:
    """Writes splits, captions, categories, annotations and descriptions of clips.

    Args:
        folder: the feature folder.
        dataset: the data set.
        clips: its clips, in the order of the rows.

    Example:
        >>> from data_tools import open_raw
        >>> dataset = open_raw("synthetic")
        >>> Path("folder").mkdir()
        >>> write_descriptions(Path("folder"), dataset, dataset.plan({"val": 2}, seed=0))
        >>> sorted(path.suffix for path in Path("folder").iterdir())
        ['.h5', '.jsonl', '.txt', '.txt', '.txt']
    """
    for split in SPLITS:
        rows = np.array([row for row, clip in enumerate(clips) if clip.split == split], np.int64)
        if len(rows):
            path = folder / layout.order_file(split)
            with hdf5.ArrayWriter(path, rows.shape, rows.dtype, hdf5.ORDER_KEY) as writer:
                writer.append(rows)
    lines = {
        layout.CLIPS: [json.dumps(dataclasses.asdict(clip)) for clip in clips],
        layout.CAPTIONS: [clip.caption for clip in clips],
        layout.CATEGORIES: list(dataset.categories),
        layout.ANNOTATIONS: [
            f"{dataset.categories[clip.category]}&{clip.id}&good&{clip.start}&{clip.end}"
            for clip in clips
        ],
    }
    for file_name, content in lines.items():
        (folder / file_name).write_text("\n".join(content) + "\n", encoding="utf-8")


def _with_progress(steps: Iterable[int], progress: bool, name: str) -> Iterable[int]:
    if not progress:
        return steps
    return bar(steps, f"prepare {name}", "chunk")
