"""An extraction: planned once, done in any order and by any number of workers, taken up at will.

While it runs, its folder holds `job.json` (what is asked), `plan/` (the clips of each shard) and
the shards as far as they are. Once all are there `schema.json` makes the folder a store, and the
first two go. The bytes of the result depend on the clips and the arguments alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from data_tools.extraction.clip_features import FITTED, ClipFeatures
from data_tools.extraction.clips import Clip, find_clips
from data_tools.files import atomic_file, atomic_folder, read_json, sha256_file
from data_tools.store.schema import (
    FAILURES,
    INDEX,
    SCHEMA,
    SHARDS,
    Field,
    default_shard_rows,
    shard_path,
    write_schema,
)
from data_tools.store.shard import ShardWriter

FORMAT = "keras-cmg extraction 1"
"""Changes whenever the same arguments would give other numbers."""
JOB, PLAN = "job.json", "plan"
VERSIONED = ("numpy", "scipy", "scikit-learn", "pillow", "soundfile", "av", "keras")


@dataclasses.dataclass(frozen=True)
class Job:
    """A planned extraction.

    Args:
        out: its folder.
        content: what `job.json` says.

    Example:
        >>> job = Job(Path("out"), {"num_clips": 5, "shard_rows": 2})
        >>> job.num_shards
        3
    """

    out: Path
    content: dict[str, Any]

    @property
    def num_shards(self) -> int:
        """Shards, the last of which may have fewer clips."""
        return -(-self.content["num_clips"] // self.content["shard_rows"])

    @property
    def fields(self) -> dict[str, Field]:
        """Fields of a row."""
        return {
            name: Field(tuple(field["shape"]), field["dtype"])
            for name, field in self.content["fields"].items()
        }

    @property
    def fitted(self) -> Path:
        """What the extractors learned."""
        return self.out / FITTED

    @property
    def needs_fit(self) -> bool:
        """Whether the extractors still have to learn."""
        return bool(self.content["needs_fit"]) and not self.fitted.exists()

    def setup(self) -> dict[str, Any]:
        """Arguments of a worker."""
        names = ("extractors", "categories", "segments")
        return {
            "root": self.content["root"],
            **{name: self.content[name] for name in names},
            "state": str(self.fitted) if self.fitted.exists() else None,
        }

    def clips(self, shard: int) -> list[Clip]:
        """Clips planned for a shard."""
        lines = (self.out / PLAN / f"{shard:05d}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def shard(self, number: int, root: Path | None = None) -> ShardWriter:
        """The writer of a shard, below the job's folder or another one."""
        path = shard_path(self.out if root is None else root, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        return ShardWriter(path, self.fields, self.clips(number))


def plan(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    extractors: Mapping[str, Mapping[str, Any]],
    segments: int = 10,
    shard_rows: int | None = None,
    fitted: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Job:
    """Plans an extraction, or finds the same one where it was left.

    Args:
        source: folder or manifest, see `find_clips`.
        out: the job's folder.
        extractors: modality to `{"name": ..., "options": {...}}`.
        segments: seconds of a clip.
        shard_rows: clips of a shard; as many as have about 256 MB of features if None.
        fitted: `extractors.npz` of another extraction, to be used instead of learning anew.
        overwrite: begin anew, whatever the folder holds.

    Returns:
        The job.

    Raises:
        FileNotFoundError: the source or a file of weights does not exist.
        ValueError: an argument or the source is wrong, or `out` holds something else.
        ImportError: an extractor lacks a package.
    """
    out = Path(out)
    root, found = find_clips(source)
    clips = list(found)
    if not clips:
        raise ValueError(f"`source` must hold at least one clip; {source} has none")
    categories = sorted({clip["label"] for clip in clips if clip.get("label")})
    features = ClipFeatures(root, extractors, categories, segments)
    if fitted is not None:
        features.load_state(fitted)
    fields = features.fields
    shard_rows = default_shard_rows(fields) if shard_rows is None else shard_rows
    if shard_rows < 1:
        raise ValueError(f"`shard_rows` must be at least 1; received: {shard_rows}")
    identity = {
        "format": FORMAT,
        "num_clips": len(clips),
        "plan_sha256": _digest(clips),
        "shard_rows": shard_rows,
        "segments": segments,
        "categories": categories,
        "extractors": {
            modality: _portable(spec, features.extractors[modality].sources())
            for modality, spec in extractors.items()
        },
        "fitted_sha256": None if fitted is None else sha256_file(fitted),
    }
    content = {
        "identity": identity,
        "versions": _versions(),
        "root": str(root.absolute()),
        "num_clips": len(clips),
        "shard_rows": shard_rows,
        "segments": segments,
        "categories": categories,
        "extractors": {modality: dict(spec) for modality, spec in extractors.items()},
        "needs_fit": any(one.needs_fit for one in features.extractors.values()),
        "fields": {
            name: {"shape": list(field.shape), "dtype": field.dtype}
            for name, field in fields.items()
        },
    }
    if not overwrite:
        begun = _begun(out, identity)
        if begun is not None:
            return Job(out, {**content, "versions": begun})
    with atomic_folder(out) as folder:
        (folder / PLAN).mkdir()
        for number, start in enumerate(range(0, len(clips), shard_rows)):
            lines = _lines(clips[start : start + shard_rows])
            (folder / PLAN / f"{number:05d}.jsonl").write_text(lines, encoding="utf-8")
        if fitted is not None:
            shutil.copyfile(fitted, folder / FITTED)
        (folder / JOB).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return Job(out, content)


def finish(job: Job) -> dict[str, int]:
    """Makes a store of finished shards and removes what only the work needed.

    Args:
        job: whose shards are all finished.

    Returns:
        Number of `rows`, and of `clips` that failed.
    """
    failed: list[dict[str, Any]] = []
    rows = 0
    for number in range(job.num_shards):
        index = read_json(shard_path(job.out, number) / INDEX)
        failed += index["failures"]
        rows += len(index["rows"])
    if not (job.out / SCHEMA).is_file():
        with atomic_file(job.out / FAILURES) as temporary:
            temporary.write_text(_lines(failed), encoding="utf-8")
        origin = {"extraction": job.content["identity"], "versions": job.content["versions"]}
        write_schema(job.out, job.fields, job.num_shards, job.content["categories"], origin)
    # What a kill left of shards that were finished elsewhere.
    for path in (job.out / SHARDS).iterdir():
        if not path.name.isdecimal():
            shutil.rmtree(path)
    (job.out / JOB).unlink(missing_ok=True)
    shutil.rmtree(job.out / PLAN, ignore_errors=True)
    return {"rows": rows, "failed": job.content["num_clips"] - rows}


def _begun(out: Path, identity: dict[str, Any]) -> dict[str, str] | None:
    """Versions with which a folder's extraction began, None for a new folder; refuses others."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    advice = "Choose another folder or ask to overwrite it."
    if (out / SCHEMA).is_file():
        found = read_json(out / SCHEMA)["origin"]
        begun, versions = found.get("extraction"), found.get("versions")
    elif (out / JOB).is_file():
        found = read_json(out / JOB)
        begun, versions = found["identity"], found["versions"]
    else:
        raise ValueError(f"`out` must be a new folder or an extraction; received: {out}. {advice}")
    # Through JSON, so that both sides have the same types.
    asked = json.loads(json.dumps(identity))
    if begun != asked:
        different = [name for name in asked if (begun or {}).get(name) != asked[name]]
        raise ValueError(
            f"`out` must not hold another extraction; {out} differs in {different}. {advice}"
        )
    return versions


def _portable(spec: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, Any]:
    """An extractor as part of a job's identity: files by their checksums, not by their paths."""
    options = {name: value for name, value in spec["options"].items() if name not in sources}
    return {"name": spec["name"], "options": options, "sources": dict(sources)}


def _lines(items: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def _digest(clips: Iterable[Clip]) -> str:
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(_lines([clip]).encode())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    versions = {}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
