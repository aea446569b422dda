"""From a folder of clips to features: splits, what was refused, and what an index is made of."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_tools.composing.preparation import ComposedFeatures
from data_tools.extraction import extract
from data_tools.extraction.clips import file_of, find_clips
from data_tools.extraction.job import JOB
from data_tools.extraction.pool import Worker
from data_tools.io import feature_folder as layout
from data_tools.io.constants import NUM_SEGMENTS, SPLITS
from data_tools.io.feature_folder import MODALITIES
from data_tools.io.files import shorten
from data_tools.loading.store_folder import StoreFolder
from data_tools.raw.composed.folders import FOLDERS, TABLE
from data_tools.raw.composed.items import Item
from data_tools.store.schema import SCHEMA, read_failures
from recipes.own_clips.networks import Chosen, choose_extractors
from recipes.protocol.clips import STORE, Clips, clip_labels

CLASSES = "folders"
"""Layout of clips by class; a name of data sets."""
PROBED = 8
"""Videos that are listened to, to see whether they have sound."""


class Entries(NamedTuple):
    """Clips of one modality, with their features, as an index takes them."""

    modality: str
    names: list[str]
    features: np.ndarray
    """(clips, frames, ...)."""
    labels: list[str]
    files: list[str]
    texts: list[str]
    splits: list[str]


class Prepared(NamedTuple):
    """Features of a folder of clips."""

    clips: Clips
    chosen: Chosen
    refused: list[dict[str, str]]
    """`modality`, `file` and `reason` of each file that is not used."""
    entries: list[Entries]


def layout_of(source: str) -> str:
    """Returns the layout of a folder of clips: "folders", by class, or "store", clip by clip.

    Args:
        source: a folder, or a CSV manifest of clips.

    Returns:
        The name of the data set that it becomes.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        ValueError: if it is another file.

    Example:

    >>> Path("own/sounds/dog").mkdir(parents=True)
    >>> layout_of("own")
    'folders'
    """
    path = Path(source)
    if not source or not path.exists():
        raise FileNotFoundError(
            f"--clips must be a folder or a .csv manifest. There is no {source or 'empty path'}"
        )
    if not path.is_dir() and path.suffix.lower() != ".csv":
        raise ValueError(f"--clips must be a folder or a .csv manifest. Received: {source}")
    by_class = (path / TABLE).is_file() or any((path / name).is_dir() for name in FOLDERS.values())
    return CLASSES if by_class else STORE


def prepare_clips(
    source: str,
    features: Path,
    cache: Path,
    networks: str | None = None,
    extractors: str = "auto",
    num_clips: Mapping[str, int] | None = None,
    seed: int = 0,
    workers: int = 1,
    protocol: str = "heldout",
) -> Prepared:
    """Extracts the features of a folder of clips; goes on where it was stopped.

    Args:
        source: a folder of clips by class (`sounds/CLASS/*`, `pictures/CLASS/*`,
            `captions/CLASS.txt`, or a table `files.csv`); any other folder, whose files of one name
            are one clip; or a CSV manifest.
        features: folder to write the features to.
        cache: folder for the features of single files.
        networks: folder of pretrained networks.
        extractors: "auto" or "offline", see `choose_extractors`.
        num_clips: clips to compose for each split, of clips by class.
        seed: of the composed clips.
        workers: processes that extract.
        protocol: of the clips.

    Returns:
        The features.

    Raises:
        FileNotFoundError: if the folder, or a file of `networks`, does not exist.
        ImportError: if a package is missing.
        OSError: if the disk is full, or files vanish.
        ValueError: if the folder holds no clips of two modalities.
    """
    if layout_of(source) == CLASSES:
        return _by_class(
            source, features, cache, networks, extractors, num_clips or {}, seed, workers, protocol
        )
    return _clip_by_clip(source, features, networks, extractors, workers, protocol)


def _by_class(
    source: str,
    features: Path,
    cache: Path,
    networks: str | None,
    extractors: str,
    num_clips: Mapping[str, int],
    seed: int,
    workers: int,
    protocol: str,
) -> Prepared:
    from data_tools.raw.composed import Folders

    options: dict[str, Any] = {"split": "stratified", "missing_text": "prompt"}
    items = Folders(source, **options).items()
    counts = {
        modality: sum(item.modality == modality and item.in_split == "train" for item in items)
        for modality in MODALITIES
    }
    chosen = choose_extractors(networks, extractors, counts)
    opened = ComposedFeatures(
        CLASSES, source, chosen.extractors, cache / "files", workers, True, **options
    )
    dataset = opened.dataset
    usable = dataset.usable()
    lacking = {split: list(_lacking(usable, dataset.categories, split)) for split in SPLITS}
    if lacking["train"]:
        raise ValueError(
            f"--clips must have usable sounds and pictures of each class. In {source} "
            f"{shorten(', '.join(lacking['train']))}; {_summary(dataset.failures)}"
        )
    filled = [split for split in SPLITS if not lacking[split]]
    wanted = {split: num_clips[split] for split in filled if num_clips.get(split)}
    # Of clips in the other layout, in this run's own folder.
    if any((features / name).is_file() for name in (SCHEMA, JOB)):
        shutil.rmtree(features)
    try:
        opened.write(features, seed, wanted)
    except ValueError:
        if not (features / layout.MANIFEST).is_file():
            raise
        # Features of an earlier run with other files or settings, in this run's own folder.
        opened.write(features, seed, wanted, overwrite=True)
    entries = list(_entries_by_class(opened, usable))
    return Prepared(Clips(CLASSES, features, protocol), chosen, list(dataset.failures), entries)


def _lacking(usable: Sequence[Item], categories: Sequence[str], split: str) -> Iterator[str]:
    """What a split lacks, without which no clip of each class can be composed."""
    have = {(item.modality, item.category) for item in usable if item.in_split == split}
    for name in categories:
        for kind, folder in FOLDERS.items():
            if (kind, name) not in have:
                yield f"{name} has no usable {folder} in the split {split}"


def _entries_by_class(opened: ComposedFeatures, usable: Sequence[Item]) -> Iterator[Entries]:
    for modality in MODALITIES:
        own = [item for item in usable if item.modality == modality and item.category]
        if own:
            rows = np.stack([opened.of_item(modality, item.name) for item in own])
            yield Entries(
                modality,
                [item.name for item in own],
                rows.astype("float32"),
                [item.category for item in own],
                [str(Path(item.path).absolute()) if item.path else "" for item in own],
                [item.caption for item in own],
                [item.in_split for item in own],
            )


def _clip_by_clip(
    source: str,
    features: Path,
    networks: str | None,
    extractors: str,
    workers: int,
    protocol: str,
) -> Prepared:
    root, found = find_clips(source)
    clips = list(found)
    modalities = _modalities(root, clips)
    if len(modalities) < 2:
        raise ValueError(
            "--clips must hold clips of two modalities: videos with sound, or files of one name "
            f"such as a.wav and a.png. {source} has {', '.join(modalities) or 'none'}"
        )
    for clip in clips:
        if (split := clip.get("split") or "train") not in SPLITS:
            raise ValueError(
                f"--clips must have splits of {', '.join(SPLITS)}, or none. Received: "
                f"{shorten(split, 60)!r} of {shorten(clip['id'], 60)}"
            )
    counts = dict.fromkeys(modalities, len(clips))
    everything = choose_extractors(networks, extractors, counts)
    chosen = Chosen(
        {name: everything.extractors[name] for name in modalities},
        {name: path for name, path in everything.paths.items() if name in modalities},
    )
    arguments: dict[str, Any] = {
        "source": source,
        "out": features,
        "extractors": chosen.extractors,
        "segments": NUM_SEGMENTS,
        "workers": workers,
        "progress": True,
    }
    # Of clips by class, in this run's own folder.
    if (features / layout.MANIFEST).is_file():
        shutil.rmtree(features)
    try:
        done = extract(**arguments)
    except ValueError:
        if not any((features / name).is_file() for name in (SCHEMA, JOB)):
            raise
        done = extract(**arguments, overwrite=True)
    refused = _refused(features)
    if not done["rows"]:
        raise ValueError(f"--clips must hold a clip that can be used; {_summary(refused)}")
    entries = list(_entries_of_store(features, root))
    return Prepared(Clips(STORE, features, protocol), chosen, refused, entries)


def _refused(features: Path) -> list[dict[str, str]]:
    """Failures of an extraction; a video that is damaged fails as sound and as pictures."""
    failures: dict[tuple[str, str], str] = {}
    for line in read_failures(features):
        failures.setdefault((line["file"] or line["id"], line["reason"]), line["modality"])
    return [
        {"modality": modality, "file": file, "reason": reason}
        for (file, reason), modality in failures.items()
    ]


def _entries_of_store(features: Path, root: Path) -> Iterator[Entries]:
    folder = StoreFolder(features)
    rows = np.arange(len(folder.store))
    splits = [""] * len(rows)
    for split in folder.split_names():
        for row in folder.order(split).tolist():
            splits[row] = split
    kept = folder.clips
    for modality in folder.modalities:
        yield Entries(
            modality,
            [clip["id"] for clip in kept],
            folder.read(modality, rows),
            [str(clip.get("label", "")) for clip in kept],
            [_file(root, clip, modality) for clip in kept],
            [_caption(root, clip) if modality == "text" else "" for clip in kept],
            splits,
        )
    folder.close()


def _modalities(root: Path, clips: Sequence[Mapping[str, Any]]) -> list[str]:
    """The modalities that clips have; the sound of videos is tried."""
    found = {name for clip in clips for name in MODALITIES if clip.get(name)}
    found |= {"text"} if any(clip.get("caption") for clip in clips) else set()
    videos = [clip for clip in clips if file_of(clip, "audio")]
    if "audio" not in found and videos:
        found |= {"audio"} if any(_have_sound(root, videos[:PROBED])) else set()
    return [name for name in MODALITIES if name in found]


def _have_sound(root: Path, clips: Sequence[Mapping[str, Any]]) -> Iterator[bool]:
    setup = {
        "root": str(root.absolute()),
        "extractors": {"audio": {"name": "log_mel", "options": {"segments": 1}}},
        "categories": [],
        "segments": 1,
        "state": None,
    }
    worker = Worker(setup, timeout=60)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for clip in clips:
                out = str(Path(folder, "sound.npz"))
                yield "failures" not in worker.run({"clip": dict(clip), "out": out})
    finally:
        worker.close()


def _file(root: Path, clip: Mapping[str, Any], modality: str) -> str:
    name = file_of(clip, modality)
    return str((root / name).absolute()) if name else ""


def _caption(root: Path, clip: Mapping[str, Any]) -> str:
    if clip.get("text"):
        return " ".join((root / clip["text"]).read_text(encoding="utf-8-sig").split())
    return " ".join(str(clip.get("caption", "")).split())


def _summary(refused: Sequence[Mapping[str, str]]) -> str:
    if not refused:
        return "no file was refused"
    first = refused[0]
    return f"{len(refused)} files were refused, such as {first['file']}: {first['reason']}"


def of_features(clips: Clips) -> Prepared:
    """Returns what an index is made of, of features that are prepared already.

    Args:
        clips: clips of a prepared folder or of a store.

    Returns:
        The clips; an index names them by their split and number, or by their ids.
    """
    folder = clips.folder()
    categories = list(folder.categories)
    names: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    rows: list[int] = []
    for split in folder.split_names():
        order = folder.order(split)
        rows += order.tolist()
        splits += [split] * len(order)
        if categories:
            labels += [categories[number] for number in clip_labels(clips, split)]
        if isinstance(folder, StoreFolder):
            names += [folder.clips[row]["id"] for row in order.tolist()]
        else:
            names += [f"{split}-{row}" for row in order.tolist()]
    empty = [""] * len(names)
    entries = [
        Entries(
            modality,
            names,
            folder.read(modality, np.array(rows)),
            labels or empty,
            empty,
            empty,
            splits,
        )
        for modality in clips.modalities()
    ]
    folder.close()
    return Prepared(clips, Chosen({}, {}), [], entries)
