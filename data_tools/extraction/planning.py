"""Plans an extraction, and starts or resumes it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from data_tools.extraction.clip_features import FITTED, ClipFeatures
from data_tools.extraction.clips import ABSENT, Clip, file_of, find_clips
from data_tools.extraction.job import FIT, JOB, PLAN, Job, json_lines
from data_tools.extraction.lock import LOCK
from data_tools.io.files import atomic_file, check_record, read_record, reading, sha256_file
from data_tools.store.schema import FAILURES, SCHEMA, SHARDS, default_shard_rows, read_schema

FORMAT = "keras-cmg extraction 2"
"""Increased whenever the same arguments give other numbers."""
VERSIONED = (
    *("numpy", "scipy", "scikit-learn", "pillow", "soundfile", "av", "keras", "onnxruntime"),
    *("ai-edge-litert", "safetensors", "tokenizers"),
)


def plan(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    extractors: Mapping[str, Mapping[str, Any]],
    segments: int = 10,
    shard_rows: int | None = None,
    fitted: str | os.PathLike[str] | None = None,
) -> tuple[Job, list[Clip]]:
    """Plans an extraction; nothing is written yet.

    Args:
        source: folder or manifest, see `find_clips`.
        out: the job's folder.
        extractors: modality to `{"name": ..., "options": {...}}`.
        segments: seconds of a clip.
        shard_rows: clips of a shard; about 256 MB of features per shard if None.
        fitted: another extraction, whose classes and learned features are used; or the
            `extractors.npz` of one.

    Returns:
        The job and its clips.

    Raises:
        FileNotFoundError: if the source or a file of weights does not exist.
        ValueError: if an argument or the source is wrong.
        ImportError: if an extractor lacks a package.
    """
    out = Path(out)
    root, found = find_clips(source)
    clips = list(found)
    if segments < 1:
        raise ValueError(f"`segments` must be at least 1. Received: {segments}")
    if not clips:
        raise ValueError(f"`source` must hold at least one clip; {source} has none")
    labels = {clip["label"] for clip in clips if clip.get("label")}
    learned, categories = _learned(fitted)
    features = ClipFeatures(root, extractors, categories or sorted(labels), segments)
    if learned is not None:
        features.load_state(learned)
    elif fitted is not None and any(one.needs_fit for one in features.extractors.values()):
        raise ValueError(f"`fitted` must have learned features; {fitted} has no {FITTED}")
    fields = features.fields
    shard_rows = default_shard_rows(fields) if shard_rows is None else shard_rows
    if shard_rows < 1:
        raise ValueError(f"`shard_rows` must be at least 1. Received: {shard_rows}")
    identity = {
        "format": FORMAT,
        "num_clips": len(clips),
        "plan_sha256": _digest(clips),
        "shard_rows": shard_rows,
        "segments": segments,
        "categories": features.categories,
        "extractors": {
            modality: _portable(spec, features.extractors[modality].sources())
            for modality, spec in extractors.items()
        },
        "fitted_sha256": None if learned is None else sha256_file(learned),
    }
    content = {
        "identity": identity,
        "versions": _versions(),
        "root": str(root.absolute()),
        "num_clips": len(clips),
        "shard_rows": shard_rows,
        "segments": segments,
        "categories": features.categories,
        "extractors": {modality: dict(spec) for modality, spec in extractors.items()},
        "needs_fit": any(one.needs_fit for one in features.extractors.values()),
        "fields": {
            name: {"shape": list(field.shape), "dtype": field.dtype}
            for name, field in fields.items()
        },
    }
    return Job(out, content), clips


def begin(
    job: Job,
    clips: list[Clip],
    fitted: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Job:
    """Writes the plan into the job's folder, which must be locked, or finds the same job there.

    Args:
        job: what `plan` made.
        clips: its clips.
        fitted: as in `plan`.
        overwrite: start again if the folder holds another extraction or store.

    Returns:
        The job, with the versions with which it began.

    Raises:
        ValueError: if the folder holds something else.
    """
    versions = _begun(job, overwrite)
    if versions is not None:
        return Job(job.out, {**job.content, "versions": versions})
    for name in (SCHEMA, JOB):  # first, so that the rest is known to be no whole work
        (job.out / name).unlink(missing_ok=True)
    for name in (SHARDS, PLAN, FIT):
        shutil.rmtree(job.out / name, ignore_errors=True)
    for name in (FITTED, FAILURES):
        (job.out / name).unlink(missing_ok=True)
    (job.out / PLAN).mkdir()
    rows = job.content["shard_rows"]
    root, modalities = Path(job.content["root"]), tuple(job.content["extractors"])
    for number, start in enumerate(range(0, len(clips), rows)):
        planned = [with_absent(clip, root, modalities) for clip in clips[start : start + rows]]
        lines = json_lines(planned)
        (job.out / PLAN / f"{number:05d}.jsonl").write_text(lines, encoding="utf-8")
    learned, _ = _learned(fitted)
    if learned is not None:
        shutil.copyfile(learned, job.out / FITTED)
    with atomic_file(job.out / JOB) as temporary:
        temporary.write_text(json.dumps(job.content, indent=1) + "\n", encoding="utf-8")
    return job


def with_absent(clip: Clip, root: Path, modalities: Iterable[str]) -> Clip:
    """Adds to a clip which of its files are not there: a manifest may list such files.

    A file that is there now and missing later has vanished, which stops the extraction.

    Args:
        clip: the clip.
        root: root of its paths.
        modalities: those that are extracted.

    Returns:
        The clip.

    Example:
        >>> with_absent({"id": "a", "audio": "nowhere.wav"}, Path("."), ["audio", "text"])
        {'id': 'a', 'audio': 'nowhere.wav', 'absent': ['audio']}
    """
    files = {name: file_of(clip, name) for name in modalities}
    absent = [name for name, file in files.items() if file and not (root / file).exists()]
    return {**clip, ABSENT: absent} if absent else clip


def _begun(job: Job, overwrite: bool) -> dict[str, str] | None:
    """Returns the versions with which the same extraction began there; None for a new one."""
    out = job.out
    if not (out / JOB).is_file() and not (out / SCHEMA).is_file():
        own = {LOCK, PLAN, FIT, FITTED, *(path.name for path in out.glob(".*.part"))}
        own |= {SHARDS, FAILURES} if overwrite else set()
        others = {path.name for path in out.iterdir()} - own
        if others:
            raise ValueError(
                f"`out` must be a new folder or an extraction; {out} holds {sorted(others)[:3]}"
            )
        return None
    if overwrite:
        return None
    if (out / SCHEMA).is_file():
        found = read_schema(out)["origin"]
        with reading(out / SCHEMA, "describe an extraction"):
            check_record(found, {"extraction?": dict, "versions?": {str: str}}, out / SCHEMA)
        begun, versions = found.get("extraction", {}), found.get("versions", {})
    else:
        found = read_record(out / JOB, {"identity": dict, "versions": {str: str}})
        begun, versions = found["identity"], found["versions"]
    # Through JSON, so that both sides have equal types.
    asked = json.loads(json.dumps(job.content["identity"]))
    if begun != asked:
        different = [name for name in asked if begun.get(name) != asked[name]]
        raise ValueError(
            f"`out` must not hold another extraction; {out} differs in {different}. Choose another "
            "folder, or overwrite this one."
        )
    return versions


def _learned(fitted: str | os.PathLike[str] | None) -> tuple[Path | None, list[str]]:
    """Returns the fitted state of another extraction, and its classes."""
    if fitted is None:
        return None, []
    path = Path(fitted)
    if path.is_file():
        return path, []
    if not (path / SCHEMA).is_file():
        raise FileNotFoundError(
            f"`fitted` must be a finished extraction, with {SCHEMA} in it. Received: {path}"
        )
    learned = path / FITTED
    return learned if learned.is_file() else None, read_schema(path)["categories"]


def _portable(spec: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    """Describes an extractor in a job's identity: files by their checksums, not by their paths."""
    options = {name: value for name, value in spec["options"].items() if name not in sources}
    return {"name": spec["name"], "options": options, "sources": dict(sources)}


def _digest(clips: Iterable[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(json_lines([clip]).encode())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
