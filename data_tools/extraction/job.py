"""An extraction job: planned once, processed in any order by any number of workers, resumable.

While it runs, its folder holds `job.json` (the arguments), `.plan/` (the clips of each shard) and
the shards that were begun. When all shards are finished, `schema.json` completes the store, and the
first two are removed. The bytes of the result depend on the clips and the arguments only.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data_tools.extraction.clip_features import FITTED
from data_tools.extraction.clips import ABSENT, Clip
from data_tools.io.files import atomic_file, read_record, read_record_lines, remove_abandoned
from data_tools.store.schema import (
    FAILURES,
    INDEX,
    SCHEMA,
    SHARDS,
    Field,
    shard_path,
    write_schema,
)
from data_tools.store.shard import ShardWriter

JOB, PLAN, FIT = "job.json", ".plan", ".fit"


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
        """Number of shards; the last one may have fewer clips."""
        return -(-self.content["num_clips"] // self.content["shard_rows"])

    @property
    def fields(self) -> dict[str, Field]:
        """Returns the fields of a row."""
        return {
            name: Field(tuple(field["shape"]), field["dtype"])
            for name, field in self.content["fields"].items()
        }

    @property
    def fitted(self) -> Path:
        """Path of the fitted state of the extractors."""
        return self.out / FITTED

    @property
    def needs_fit(self) -> bool:
        """Whether the extractors have yet to be fitted."""
        return bool(self.content["needs_fit"]) and not self.fitted.exists()

    def setup(self) -> dict[str, Any]:
        """Returns the arguments of a worker."""
        names = ("extractors", "categories", "segments")
        return {
            "root": self.content["root"],
            **{name: self.content[name] for name in names},
            "state": str(self.fitted) if self.fitted.exists() else None,
        }

    def clips(self, shard: int) -> list[Clip]:
        """Returns the clips planned for a shard."""
        path = self.out / PLAN / f"{shard:05d}.jsonl"
        return read_record_lines(path, {"id": str, ABSENT + "?": [str]})

    def shard(self, number: int, root: Path | None = None) -> ShardWriter:
        """Opens the writer of a shard, below the job's folder or another one."""
        path = shard_path(self.out if root is None else root, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        return ShardWriter(path, self.fields, [without_absent(c) for c in self.clips(number)])

    def task(self, number: int, clip: Clip, shard: ShardWriter, slot: int) -> dict[str, Any]:
        """Returns the task of a worker for a slot of a shard."""
        return {"clip": clip, "part": str(shard.part), "slot": slot, "shard": number}


def without_absent(clip: Clip) -> Clip:
    """Returns what the index of a store keeps of a planned clip.

    Args:
        clip: the clip.

    Returns:
        The same without the entry that concerns the machine at the time of planning.

    Example:
        >>> without_absent({"id": "a", "audio": "a.wav", "absent": ["audio"]})
        {'id': 'a', 'audio': 'a.wav'}
    """
    return {name: value for name, value in clip.items() if name != ABSENT}


def json_lines(items: Iterable[Mapping[str, Any]]) -> str:
    """Formats JSON objects, one per line.

    Args:
        items: the objects.

    Returns:
        The text.

    Example:
        >>> json_lines([{"id": "a"}])
        '{"id": "a"}\\n'
    """
    return "".join(json.dumps(item) + "\n" for item in items)


def finish(job: Job) -> dict[str, int]:
    """Turns finished shards into a store and removes the files of the job.

    Args:
        job: whose shards are all finished.

    Returns:
        Number of `rows`, and of `clips` that failed.
    """
    failed: list[dict[str, Any]] = []
    rows = 0
    for number in range(job.num_shards):
        path = shard_path(job.out, number) / INDEX
        index = read_record(path, {"rows": list, "failures": [dict]})
        failed += index["failures"]
        rows += len(index["rows"])
    if not (job.out / SCHEMA).is_file():
        with atomic_file(job.out / FAILURES) as temporary:
            temporary.write_text(json_lines(failed), encoding="utf-8")
        origin = {"extraction": job.content["identity"], "versions": job.content["versions"]}
        write_schema(job.out, job.fields, job.num_shards, job.content["categories"], origin)
    # Left by a kill: shards that were finished elsewhere, temporary files.
    for path in (job.out / SHARDS).iterdir():
        if not path.name.isdecimal():
            shutil.rmtree(path)
    remove_abandoned(job.out, ".")
    (job.out / JOB).unlink(missing_ok=True)
    for name in (PLAN, FIT):
        shutil.rmtree(job.out / name, ignore_errors=True)
    return {"rows": rows, "failed": job.content["num_clips"] - rows}
