"""From recordings, pictures and captions to a feature folder of composed clips."""

from __future__ import annotations

import collections
import json
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data_tools.composing.collection_probe import collection_probe
from data_tools.composing.item_features import ItemFeatures
from data_tools.extraction.clip_features import FITTED
from data_tools.extraction.serving import EXTRACTION
from data_tools.io import feature_folder as layout
from data_tools.io import hdf5
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.files import atomic_folder, cache_folder, check_replaceable, sha256_file
from data_tools.raw.base import Clip
from data_tools.raw.composed.composed_dataset import ComposedDataset
from data_tools.raw.composed.rendering import SAMPLE_RATE
from data_tools.raw.preparation import (
    CHUNK,
    STORED_AS,
    VERSIONED,
    check_num_clips,
    is_prepared,
    write_descriptions,
)
from data_tools.raw.registry import open_raw

FORMAT = "keras-cmg composed features 2"
"""Changes whenever the same arguments would give another folder."""
REPORT = "report.json"
OFFLINE = {
    "audio": {"name": "log_mel", "options": {}},
    "video": {"name": "patches", "options": {}},
    "text": {"name": "words", "options": {}},
}
"""Extractors that need no pretrained network."""


def prepare_composed(
    name: str,
    out: str | os.PathLike[str],
    root: str | None = None,
    seed: int = 0,
    num_clips: Mapping[str, int] | None = None,
    extractors: Mapping[str, Mapping[str, Any]] | None = None,
    cache: str | os.PathLike[str] | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> Path:
    """Writes the feature folder of a composed data set, unless the very same is there already.

    Every file is extracted once; the features of a clip are those of the seconds, pictures and
    caption that it is made of. The folder has the layout of `data_tools.prepare`, and `report.json`
    with the files that failed, near-duplicates, and how well collections can be told apart, and
    `items.jsonl` with groups and collections, see `data_tools.read_clip_origins`.

    Args:
        name: data set, "natural" or "folders".
        out: folder to write; it appears complete or not at all.
        root: folder of the raw files; the data set's own default if None.
        seed: of the plan of clips.
        num_clips: clips of "train", "val" and "test"; the data set's own numbers if None.
        extractors: modality to `{"name": ..., "options": {...}}`, see `data_tools.extraction`;
            those that need no pretrained network where a modality is left out.
        cache: folder that keeps the features of the files for other preparations; below the
            download cache if None.
        workers: processes that extract.
        overwrite: replace a prepared folder that was made otherwise.
        progress: show progress bars.
        options: further arguments of the data set.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if a raw file or a model file is missing.
        ImportError: if an extractor lacks a package.
        ValueError: if an argument or a raw file is wrong, or `out` holds something else.
    """
    if num_clips is not None:
        # Before anything is extracted.
        check_num_clips(num_clips)
    opened = ComposedFeatures(name, root, extractors, cache, workers, progress, **options)
    return opened.write(out, seed, num_clips, overwrite)


class ComposedFeatures:
    """Features of all files of a composed data set, each extracted once and kept in a cache.

    Args:
        name: data set, "natural" or "folders".
        root: folder of the raw files; the data set's own default if None.
        extractors: modality to `{"name": ..., "options": {...}}`; those that need no pretrained
            network where a modality is left out.
        cache: folder that keeps the features of the files; below the download cache if None.
        workers: processes that extract.
        progress: show progress bars.
        options: further arguments of the data set.

    Raises:
        FileNotFoundError: if a raw file or a model file is missing.
        ImportError: if an extractor lacks a package.
        ValueError: if an argument or a raw file is wrong.
    """

    def __init__(
        self,
        name: str,
        root: str | None = None,
        extractors: Mapping[str, Mapping[str, Any]] | None = None,
        cache: str | os.PathLike[str] | None = None,
        workers: int = 1,
        progress: bool = False,
        **options: Any,
    ) -> None:
        dataset = open_raw(name, root, **options)
        if not isinstance(dataset, ComposedDataset):
            raise ValueError(f"`name` must be a composed data set. Received: {name!r}")
        self.name, self.root, self.dataset = name, root, dataset
        specs = {**OFFLINE, **(extractors or {})}
        if unknown := sorted(set(specs) - set(OFFLINE)):
            raise ValueError(f"`extractors` must be of {sorted(OFFLINE)}. Received: {unknown}")
        self.sources = dataset.sources()
        folder = Path(cache) if cache is not None else cache_folder() / "composed"
        self.features = {
            modality: ItemFeatures(
                dataset, modality, specs[modality], folder, self.sources, workers, progress
            )
            for modality in OFFLINE
        }
        for each in self.features.values():
            for failure in each.failures:
                dataset.note_failure(failure["modality"], failure["file"], failure["reason"])

    def of_item(self, modality: str, name: str) -> np.ndarray:
        """Returns the features of a clip that has one file throughout.

        Args:
            modality: "audio", "video" or "text".
            name: name of the item.

        Returns:
            (frames, ...): a sound is repeated until it fills the clip, a picture is shown
            throughout.

        Raises:
            KeyError: if the item could not be extracted.
        """
        rows = self.features[modality][name]
        if modality == "text":
            return rows
        seconds = 1
        if modality == "audio":
            seconds = len(self.dataset.material["audio", name]) // SAMPLE_RATE
        return rows[np.arange(NUM_SEGMENTS) % seconds]

    def write(
        self,
        out: str | os.PathLike[str],
        seed: int = 0,
        num_clips: Mapping[str, int] | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Writes the feature folder of composed clips, unless the very same is there already.

        Args:
            out: folder to write; it appears complete or not at all.
            seed: of the plan of clips.
            num_clips: clips of "train", "val" and "test"; the data set's own numbers if None.
            overwrite: replace a prepared folder that was made otherwise.

        Returns:
            The folder.

        Raises:
            ValueError: if an argument is wrong, or `out` holds something else.
        """
        dataset, features = self.dataset, self.features
        num_clips = dict(dataset.default_num_clips if num_clips is None else num_clips)
        check_num_clips(num_clips)
        identity = {
            "format": FORMAT,
            "dataset": self.name,
            "options": dataset.options(),
            "arguments": {"seed": seed, "num_clips": num_clips},
            "sources": self.sources,
            "extraction": {
                modality: each.identity["extractors"][modality]
                for modality, each in features.items()
            },
        }
        out = Path(out)
        if overwrite:
            check_replaceable("out", out, layout.MANIFEST)
        elif out.exists() and is_prepared(out, identity):
            return out
        clips = dataset.plan(num_clips, seed)
        with threadpool_limits(1), atomic_folder(out) as built:
            _write_features(built, dataset, clips, features)
            write_descriptions(built, dataset, clips)
            _write_items(built, dataset, clips)
            _write_extractors(built, features)
            report = _report(dataset, features)
            (built / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            manifest = {
                **identity,
                "root": None if self.root is None else str(self.root),
                "sample_rate": dataset.sample_rate,
                "versions": {package: metadata.version(package) for package in VERSIONED},
                "files": {path.name: sha256_file(path) for path in sorted(built.iterdir())},
            }
            text = json.dumps(manifest, indent=2) + "\n"
            (built / layout.MANIFEST).write_text(text, encoding="utf-8")
        return out


def _write_features(
    folder: Path,
    dataset: ComposedDataset,
    clips: list[Clip],
    features: Mapping[str, ItemFeatures],
) -> None:
    shapes = {
        "audio": (NUM_SEGMENTS, *features["audio"].features.shape[2:]),
        "video": (NUM_SEGMENTS, *features["video"].features.shape[2:]),
        "text": features["text"].features.shape[1:],
        "labels": (NUM_SEGMENTS, len(dataset.categories) + 1),
    }
    for kind, shape in shapes.items():
        path, whole = folder / layout.FILES[kind], (len(clips), *shape)
        with hdf5.ArrayWriter(path, whole, STORED_AS[kind]) as writer:
            for start in range(0, len(clips), CHUNK):
                part = clips[start : start + CHUNK]
                writer.append(
                    np.stack([_row(kind, shape, dataset, clip, features) for clip in part])
                )


def _row(
    kind: str,
    shape: tuple[int, ...],
    dataset: ComposedDataset,
    clip: Clip,
    features: Mapping[str, ItemFeatures],
) -> np.ndarray:
    if kind == "audio":
        seconds = dataset.seconds_used(clip)
        return np.stack(
            [
                features["audio"][name][second]
                for name, second in zip(clip.sources["audio"], seconds, strict=True)
            ]
        )
    if kind == "video":
        return np.stack([features["video"][name][0] for name in clip.sources["video"]])
    if kind == "text":
        if clip.attributes["text"] == "missing":
            return np.zeros(shape, np.float32)
        if clip.attributes["text"] == "prompt":
            return features["text"][f"prompt/{dataset.categories[clip.category]}"]
        return features["text"][clip.sources["text"][0]]
    labels = np.zeros(shape, np.float32)
    labels[:, -1] = 1
    labels[clip.start : clip.end] = 0
    labels[clip.start : clip.end, clip.category] = 1
    return labels


def _write_items(folder: Path, dataset: ComposedDataset, clips: list[Clip]) -> None:
    """Keeps group and collection of the files that clips are made of."""
    used = {
        (modality, name)
        for clip in clips
        for modality, names in clip.sources.items()
        for name in names
    }
    known = {(item.modality, item.name): item for item in dataset.usable()}
    lines = []
    for modality, name in sorted(used):
        item = known.get((modality, name))
        # Backgrounds that are made up have no item.
        group, collection = (item.group, item.collection) if item else (name, "generated")
        described = {"modality": modality, "name": name, "group": group, "collection": collection}
        lines.append(json.dumps(described))
    (folder / layout.ITEMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_extractors(folder: Path, features: Mapping[str, ItemFeatures]) -> None:
    """Keeps what serving needs: how each modality was extracted, and what was learned."""
    kept: dict[str, dict[str, Any]] = {}
    for modality, each in features.items():
        kept[modality] = {"extraction": each.identity, "state": None}
        if (each.folder / FITTED).is_file():
            state = f"{modality}_{FITTED}"
            shutil.copyfile(each.folder / FITTED, folder / state)
            kept[modality]["state"] = state
    (folder / EXTRACTION).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _report(dataset: ComposedDataset, features: Mapping[str, ItemFeatures]) -> dict[str, Any]:
    items = dataset.usable()
    counts = collections.Counter(
        (item.modality, item.in_split, item.category or "background") for item in items
    )
    sounds = [item for item in items if item.modality == "audio"]
    lengths = {
        item.name: len(dataset.material["audio", item.name]) // SAMPLE_RATE for item in sounds
    }
    means = {
        name: features["audio"][name][:length].astype(np.float64).mean(0)
        for name, length in lengths.items()
    }
    return {
        "items": {" ".join(key): count for key, count in sorted(counts.items())},
        "failures": dataset.failures,
        "near_duplicates": dataset.duplicates,
        "left_out_of_test_root": dataset.leaks,
        "collections": collection_probe(sounds, means),
    }
