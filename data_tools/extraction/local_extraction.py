"""Extraction on one machine, with worker processes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data_tools.extraction.clip_features import ClipFeatures
from data_tools.extraction.clips import Clip
from data_tools.extraction.job import FIT, JOB, PLAN, Job, finish
from data_tools.extraction.lock import locked
from data_tools.extraction.planning import begin, plan
from data_tools.extraction.pool import Task, run_tasks
from data_tools.io.files import atomic_file, read_arrays
from data_tools.io.progress import bar
from data_tools.store.schema import SCHEMA
from data_tools.store.shard import ShardWriter

FIT_CLIPS = 250
"""Clips on which features are fitted, at equal distances over the training clips."""
TIMEOUT = 300.0
"""Default time limit per clip in seconds."""


def extract(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    extractors: Mapping[str, Mapping[str, Any]],
    segments: int = 10,
    shard_rows: int | None = None,
    fitted: str | os.PathLike[str] | None = None,
    workers: int = 1,
    timeout: float = TIMEOUT,
    progress: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Extracts the features of clips into a store; resumes an extraction that was killed.

    Args:
        source: a folder of clips or a CSV manifest, see `find_clips`.
        out: store to write.
        extractors: modality to `{"name": ..., "options": {...}}`.
        segments: seconds of a clip.
        shard_rows: clips of a shard; about 256 MB of features per shard if None.
        fitted: another extraction, whose classes and learned features are used; or the
            `extractors.npz` of one.
        workers: processes; the result does not depend on it.
        timeout: seconds that a clip may take.
        progress: show a progress bar.
        overwrite: begin anew where `out` holds another extraction or store.

    Returns:
        Number of `rows` written and of clips that `failed`; `failures.jsonl` has the reasons.

    Raises:
        FileNotFoundError: if the source or a file of weights does not exist.
        OSError: if the disk is full or read-only, permissions are lost or inputs vanish; the same
            call goes on once that is mended, with the same result.
        ValueError: if an argument or the source is wrong, or `out` is in use or holds another job.
        ImportError: if an extractor lacks a package.

    Example:
        >>> _ = Path("clips.csv").write_text("id,caption\\na,a dog barks\\nb,\\n")
        >>> extract("clips.csv", "store", {"text": {"name": "words", "options": {}}})
        {'rows': 1, 'failed': 1}
        >>> Path("store", "failures.jsonl").read_text()
        '{"id": "b", "modality": "text", "file": "", "reason": "has no caption"}\\n'
    """
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1. Received: {workers}")
    if not timeout > 0:
        raise ValueError(f"`timeout` must be above 0 seconds. Received: {timeout}")
    with threadpool_limits(1):
        job, clips = plan(source, out, extractors, segments, shard_rows, fitted)
    with locked(job.out):
        job = begin(job, clips, fitted, overwrite)
        if not (job.out / SCHEMA).is_file():
            if job.needs_fit:
                fit(job, workers, timeout)
            _run(job, workers, timeout, progress)
        return finish(job)


def fit(job: Job, workers: int, timeout: float) -> None:
    """Fits the extractors to clips of the training split, or to all clips if there is none.

    Args:
        job: the job.
        workers: processes that decode.
        timeout: seconds that a clip may take.

    Raises:
        ValueError: if no clip can be decoded, or an extractor needs more of them; the job is then
            removed.
    """
    try:
        _fit(job, workers, timeout)
    except ValueError:
        (job.out / JOB).unlink(missing_ok=True)
        shutil.rmtree(job.out / PLAN, ignore_errors=True)
        raise


def _fit(job: Job, workers: int, timeout: float) -> None:
    chosen = _fit_clips(job)
    scratch = job.out / FIT
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    tasks: list[Task] = [
        {"clip": clip, "out": str(scratch / f"{number}.npz")} for number, clip in enumerate(chosen)
    ]
    try:
        signals, reasons = _signals(job, tasks, workers, timeout)
    finally:
        # Large where sounds are: not left on a disk that is perhaps full.
        shutil.rmtree(scratch, ignore_errors=True)
    if not signals:
        raise ValueError(
            f"no clip of {len(tasks)} could be decoded to learn features from, such as "
            f"{reasons[0] if reasons else 'none'}"
        )
    setup = job.setup()
    setup.pop("state")
    features = ClipFeatures(**setup)
    # One thread: the fit must not depend on the machine's cores.
    with threadpool_limits(1):
        for modality, values in signals.items():
            features.extractors[modality].fit(values)
    with atomic_file(job.fitted) as temporary:
        features.save_state(temporary)


def _signals(
    job: Job, tasks: list[Task], workers: int, timeout: float
) -> tuple[dict[str, list[Any]], list[str]]:
    """Signals of clips by modality, and the reasons why clips have none."""
    reasons: list[str] = []
    signals: dict[str, list[Any]] = {}
    number = min(workers, len(tasks))
    with contextlib.closing(run_tasks(job.setup(), tasks, number, timeout)) as answers:
        for task, answer in answers:
            if "failures" in answer:
                Path(task["out"]).unlink(missing_ok=True)
                reasons += [f"{task['clip']['id']}: {f['reason']}" for f in answer["failures"]]
    for task in tasks:
        if Path(task["out"]).exists():
            for modality, array in read_arrays(task["out"]).items():
                signals.setdefault(modality, []).append(array)
    return signals, reasons


def _fit_clips(job: Job) -> list[Clip]:
    clips = [clip for number in range(job.num_shards) for clip in job.clips(number)]
    usable = [clip for clip in clips if "fault" not in clip]
    training = [clip for clip in usable if clip.get("split") == "train"] or usable
    if not training:
        raise ValueError("no clip can be used to learn features from")
    count = min(len(training), FIT_CLIPS)
    return [training[position * len(training) // count] for position in range(count)]


def _run(job: Job, workers: int, timeout: float, progress: bool) -> None:
    open_shards: dict[int, ShardWriter] = {}
    bar = _bar(job.content["num_clips"], progress)

    def tasks() -> Iterator[Task]:
        for number in range(job.num_shards):
            shard = job.shard(number)
            missing = shard.missing
            bar(len(shard.clips) - len(missing))
            if not missing:
                shard.finish()
                continue
            open_shards[number] = shard
            clips = job.clips(number)
            for slot in missing:
                yield job.task(number, clips[slot], shard, slot)

    with contextlib.closing(run_tasks(job.setup(), tasks(), workers, timeout)) as answers:
        for task, answer in answers:
            shard = open_shards[task["shard"]]
            note(shard, task, answer)
            bar(1)
            if not shard.missing:
                shard.finish()
                del open_shards[task["shard"]]
    bar(None)


def note(shard: ShardWriter, task: Task, answer: Mapping[str, Any]) -> None:
    """Records a worker's answer in the shard.

    Args:
        shard: shard of the task.
        task: the task.
        answer: `checksums` or `failures`.
    """
    if "checksums" in answer:
        shard.note(task["slot"], answer["checksums"])
    else:
        shard.fail(task["slot"], answer["failures"])


def _bar(total: int, progress: bool) -> Callable[[int | None], None]:
    if not progress:
        return lambda count: None
    shown = bar(None, "extract", "clip", total)

    def update(count: int | None) -> None:
        if count is None:
            shown.close()
        else:
            shown.update(count)

    return update
