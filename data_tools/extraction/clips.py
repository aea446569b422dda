"""Finds the clips of a job in a manifest, or in a folder whose files of one name are one clip."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_tools.decoding.signatures import CAPTIONS, PICTURES, SOUNDS, VIDEOS
from data_tools.io.files import reading, shorten

COLUMNS = ("id", "audio", "video", "caption", "text", "label", "split", "start", "end")
MODALITY_FOLDERS = ("audio", "video", "frames", "text", "captions")
"""Folders that divide a set by modality; they are not part of a clip's id."""
CAPTION_FILES = ("captions.csv", "captions.jsonl")

ABSENT = "absent"
"""Key of a planned clip: modalities whose files a manifest lists, but which are not there."""

Clip = dict[str, Any]
"""`id`; `audio`, `video` and `text` (paths below the root), `caption`, `label`, `split`, `start`
and `end` (seconds of the event) as far as given; `fault` where the clip cannot be used as it is."""


def find_clips(source: str | os.PathLike[str]) -> tuple[Path, Iterator[Clip]]:
    """Finds the clips of a folder or a manifest.

    Args:
        source: a folder, or a CSV file with a column `id` and any of `audio`, `video`, `text`
            (paths below the manifest's folder), `caption`, `label`, `split`, `start`, `end`.

    Returns:
        The root of the paths, and the clips.

    Raises:
        FileNotFoundError: if there is no such folder or file.
        ValueError: if the manifest lacks columns or is not CSV.

    Example:
        >>> _ = Path("clips.csv").write_text("id,caption,label\\na,a dog barks,dog\\n")
        >>> list(find_clips("clips.csv")[1])
        [{'id': 'a', 'caption': 'a dog barks', 'label': 'dog'}]
    """
    source = Path(source)
    if source.is_dir():
        return source, _without_twins(scan_folder(source))
    if source.suffix.lower() != ".csv":
        raise ValueError(f"`source` must be a folder or a .csv manifest. Received: {source}")
    if not source.is_file():
        raise FileNotFoundError(f"`source` must exist. Received: {source}")
    return source.parent, _without_twins(read_manifest(source))


def file_of(clip: Mapping[str, Any], modality: str) -> str:
    """Returns the file that holds a modality of a clip: of sound, also its video file.

    Args:
        clip: as `find_clips` yields it.
        modality: "audio", "video" or "text".

    Returns:
        Path below the root; "" where there is none.

    Example:
        >>> file_of({"id": "a", "video": "a.mp4"}, "audio")
        'a.mp4'
        >>> file_of({"id": "a", "video": "a.png"}, "audio")
        ''
    """
    file = str(clip.get(modality) or "")
    video = str(clip.get("video") or "")
    if modality == "audio" and not file and Path(video).suffix.lower() in VIDEOS:
        return video
    return file


def read_manifest(path: Path) -> Iterator[Clip]:
    """Reads the rows of a manifest; a row that cannot be used has a `fault`.

    Args:
        path: the CSV file.

    Yields:
        The clips.

    Raises:
        ValueError: if the file has no `id` or no modality among its columns, or is not UTF-8 text.

    Example:
        >>> _ = Path("clips.csv").write_text("id,audio,start\\na,a.wav,soon\\n")
        >>> next(read_manifest(Path("clips.csv")))["fault"]
        "start must be a number of seconds. Received: 'soon'"
    """
    with (
        reading(path, "be a CSV file in UTF-8"),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        reader = csv.DictReader(stream)
        columns = reader.fieldnames or []
        if "id" not in columns or not {"audio", "video", "caption", "text"} & set(columns):
            raise ValueError(
                f"{path} must have a column 'id' and one of 'audio', 'video', 'caption' and "
                f"'text'. Received: {shorten(columns)}"
            )
        for row in reader:
            clip: Clip = {name: row[name].strip() for name in COLUMNS if row.get(name)}
            if not clip.get("id"):
                clip |= {"id": f"line {reader.line_num}", "fault": "has no id"}
            for name in ("start", "end"):
                if name in clip and (seconds := _seconds(clip[name])) is None:
                    given = shorten(clip.pop(name), 60)
                    clip["fault"] = f"{name} must be a number of seconds. Received: {given!r}"
                elif name in clip:
                    clip[name] = seconds
            start, end = clip.get("start", 0.0), clip.get("end", math.inf)
            if "fault" not in clip and start >= end:
                clip["fault"] = f"end must be after start, {start:g}. Received: {end:g}"
            yield clip


def _seconds(word: str) -> float | None:
    """The number that a word gives, None where it is no time of a clip."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if value >= 0 and math.isfinite(value) else None


def scan_folder(root: Path) -> Iterator[Clip]:
    """Finds the clips of a folder: files whose paths differ in the extension only, ordered by id.

    Top-level folders named after a modality are not part of the id. A deeper folder of pictures
    only is a video, each picture a frame; any other picture is a video of one frame. Captions are
    `.txt` files, or rows of `captions.csv` or `captions.jsonl` at the top.

    Args:
        root: the folder.

    Yields:
        The clips; those that only have files of unknown kinds have a `fault`.

    Raises:
        ValueError: if a file of captions is damaged.

    Example:
        >>> for name in ("audio/b.wav", "video/b.mp4", "a.wav", "a.txt"):
        ...     Path("set", name).parent.mkdir(parents=True, exist_ok=True)
        ...     Path("set", name).touch()
        >>> for clip in scan_folder(Path("set")):
        ...     print(clip)
        {'id': 'a', 'text': 'a.txt', 'audio': 'a.wav'}
        {'id': 'b', 'audio': 'audio/b.wav', 'video': 'video/b.mp4'}
    """
    clips: dict[str, Clip] = {}
    unknown: dict[str, str] = {}
    for path, modality in _media(root):
        relative = path.relative_to(root)
        parts = relative.parts
        inner = parts[1:] if len(parts) > 1 and parts[0] in MODALITY_FOLDERS else parts
        identity = Path(*inner).as_posix() if path.is_dir() else _stem(Path(*inner))
        if modality is None:
            unknown.setdefault(identity, relative.as_posix())
            continue
        clip = clips.setdefault(identity, {"id": identity})
        if modality in clip:
            clip["fault"] = f"has two files of {modality}: {clip[modality]}, {relative.as_posix()}"
        clip.setdefault(modality, relative.as_posix())
    for identity, caption in _captions(root):
        clips.setdefault(identity, {"id": identity})["caption"] = caption
    for identity, file in unknown.items():
        if identity not in clips:
            reason = f"has the extension {Path(file).suffix!r}, which is not known: {file}"
            clips[identity] = {"id": identity, "fault": reason}
    for identity in sorted(clips):
        yield clips[identity]


def _stem(path: Path) -> str:
    return path.with_suffix("").as_posix()


def _media(root: Path) -> Iterator[tuple[Path, str | None]]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = sorted(Path(folder, name) for name in names if not name.startswith("."))
        parts = Path(folder).relative_to(root).parts
        below = len(parts) > 1 or (len(parts) == 1 and parts[0] not in MODALITY_FOLDERS)
        if below and files and all(file.suffix.lower() in PICTURES for file in files):
            yield Path(folder), "video"
            continue
        for file in files:
            if not parts and file.name in CAPTION_FILES:
                continue
            yield file, _modality(file.suffix.lower())


def _modality(suffix: str) -> str | None:
    if suffix in SOUNDS or suffix == ".m4a":
        return "audio"
    if suffix in VIDEOS or suffix in PICTURES:
        return "video"
    return "text" if suffix in CAPTIONS else None


def _captions(root: Path) -> Iterator[tuple[str, str]]:
    for name in CAPTION_FILES:
        path = root / name
        if not path.is_file():
            continue
        with (
            reading(path, "give an id and a caption per line"),
            path.open(encoding="utf-8-sig", newline="") as stream,
        ):
            lines: Iterable[Any] = (
                csv.DictReader(stream) if path.suffix == ".csv" else map(json.loads, stream)
            )
            for line in lines:
                yield str(line["id"]), str(line["caption"] or "")


def _without_twins(clips: Iterable[Clip]) -> Iterator[Clip]:
    seen: set[str] = set()
    for clip in clips:
        if clip["id"] in seen:
            clip["fault"] = "has the id of an earlier clip"
        seen.add(clip["id"])
        yield clip
