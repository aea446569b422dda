"""An extraction: planned once, done in any order and by any number of workers, taken up at will.

While it runs, its folder holds `job.json` (what is asked), `.plan/` (the clips of each shard) and
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
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from data_tools.extraction.clip_features import FITTED, ClipFeatures
from data_tools.extraction.clips import Clip, find_clips
from data_tools.files import atomic_file, read_json, sha256_file
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
JOB, PLAN, FIT, LOCK = "job.json", ".plan", ".fit", ".lock"
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
) -> tuple[Job, list[Clip]]:
    """Plans an extraction; nothing is written yet.

    Args:
        source: folder or manifest, see `find_clips`.
        out: the job's folder.
        extractors: modality to `{"name": ..., "options": {...}}`.
        segments: seconds of a clip.
        shard_rows: clips of a shard; as many as have about 256 MB of features if None.
        fitted: `extractors.npz` of another extraction, to be used instead of learning anew.

    Returns:
        The job and its clips.

    Raises:
        FileNotFoundError: the source or a file of weights does not exist.
        ValueError: an argument or the source is wrong.
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
    return Job(out, content), clips


def begin(
    job: Job,
    clips: list[Clip],
    fitted: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Job:
    """Writes the plan into the job's folder, or finds the same job there; the folder is locked.

    Args:
        job: what `plan` made.
        clips: its clips.
        fitted: as in `plan`.
        overwrite: begin anew where the folder holds another extraction or store.

    Returns:
        The job, as it was begun.

    Raises:
        ValueError: the folder holds something else.
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
    for number, start in enumerate(range(0, len(clips), rows)):
        lines = _lines(clips[start : start + rows])
        (job.out / PLAN / f"{number:05d}.jsonl").write_text(lines, encoding="utf-8")
    if fitted is not None:
        shutil.copyfile(fitted, job.out / FITTED)
    with atomic_file(job.out / JOB) as temporary:
        temporary.write_text(json.dumps(job.content, indent=1) + "\n", encoding="utf-8")
    return job


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
    # What a kill left: shards that were finished elsewhere, files in the making.
    for path in (job.out / SHARDS).iterdir():
        if not path.name.isdecimal():
            shutil.rmtree(path)
    for path in job.out.glob(".*.part"):
        path.unlink()
    (job.out / JOB).unlink(missing_ok=True)
    for name in (PLAN, FIT):
        shutil.rmtree(job.out / name, ignore_errors=True)
    return {"rows": rows, "failed": job.content["num_clips"] - rows}


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps a second process out of a job's folder, which is made; a killed one leaves it free.

    Args:
        out: the folder.

    Raises:
        ValueError: another process is at work there, or it is no folder.

    Example:
        >>> with locked(Path("out")):
        ...     pass
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"`out` must be a folder; received: {out}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / LOCK
    with path.open("w") as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one that held it before may have removed the file in between.
            if not path.exists() or not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                raise BlockingIOError
        except ImportError:  # Windows has no such locks.
            pass
        except OSError as error:
            raise ValueError(f"`out` must be free; another process extracts into {out}") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
                out.rmdir()  # which only succeeds where nothing was written


def _begun(job: Job, overwrite: bool) -> dict[str, str] | None:
    """Versions with which the same extraction began there; None for a new one; refuses others."""
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
        found = read_json(out / SCHEMA)["origin"]
        begun, versions = found.get("extraction"), found.get("versions")
    else:
        found = read_json(out / JOB)
        begun, versions = found["identity"], found["versions"]
    # Through JSON, so that both sides have the same types.
    asked = json.loads(json.dumps(job.content["identity"]))
    if begun != asked:
        different = [name for name in asked if (begun or {}).get(name) != asked[name]]
        raise ValueError(
            f"`out` must not hold another extraction; {out} differs in {different}. Choose another "
            "folder or ask to overwrite it."
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
