"""Extraction as an Apache Beam pipeline, with the same result as the local one.

The unit of work is a shard. A worker extracts its clips into a temporary folder, clip by clip in a
process that may crash, and moves the finished shard into its place; no features are sent between
workers. Beam repeats a lost shard and skips a finished one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data_tools.extraction.job import Job, finish
from data_tools.extraction.local_extraction import TIMEOUT, fit, note
from data_tools.extraction.lock import locked
from data_tools.extraction.planning import begin, plan
from data_tools.extraction.pool import Worker
from data_tools.io.files import missing, scratch_folder
from data_tools.store.schema import SCHEMA, shard_path


def extract_with_beam(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    extractors: Mapping[str, Mapping[str, Any]],
    segments: int = 10,
    shard_rows: int | None = None,
    fitted: str | os.PathLike[str] | None = None,
    workers: int = 1,
    timeout: float = TIMEOUT,
    overwrite: bool = False,
    runner: str = "DirectRunner",
    pipeline_options: Sequence[str] = (),
) -> dict[str, int]:
    """Extracts the features of clips with Beam; resumes what it or `extract` began.

    The input and `out` must be seen by all workers under the same paths, and the workers must have
    this package. Features are learned on the machine that starts the pipeline.

    Args:
        source: a folder of clips or a CSV manifest.
        out: store to write.
        extractors: modality to `{"name": ..., "options": {...}}`.
        segments: seconds of a clip.
        shard_rows: clips of a shard; about 256 MB of features per shard if None.
        fitted: another extraction, whose classes and learned features are used; or the
            `extractors.npz` of one.
        workers: processes of the Direct runner; other runners have options of their own.
        timeout: seconds that a clip may take.
        overwrite: begin anew where `out` holds another extraction or store.
        runner: Beam runner, such as "DirectRunner", "DataflowRunner" or "FlinkRunner".
        pipeline_options: further command-line arguments of Beam.

    Returns:
        Number of `rows` written and of clips that `failed`.

    Raises:
        FileNotFoundError: if the source or a file of weights does not exist.
        ValueError: if an argument or the source is wrong, or `out` is in use or holds another job.
        ImportError: if Beam or what an extractor needs is not installed.
    """
    beam = _beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    words = [f"--runner={runner}", *pipeline_options]
    if runner == "DirectRunner":
        words += ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    with threadpool_limits(1):
        job, clips = plan(source, out, extractors, segments, shard_rows, fitted)
    with locked(job.out):
        job = begin(job, clips, fitted, overwrite)
        if not (job.out / SCHEMA).is_file():
            if job.needs_fit:
                fit(job, workers, timeout)
            todo = [
                number
                for number in range(job.num_shards)
                if not shard_path(job.out, number).exists()
            ]
            if todo:
                step = _extract_shards(beam)(str(job.out.absolute()), job.content, timeout)
                with beam.Pipeline(options=PipelineOptions(words)) as pipeline:
                    shards = pipeline | beam.Create(todo) | beam.Reshuffle()
                    _ = shards | "Extract" >> beam.ParDo(step)
        return finish(job)


def extract_shard(job: Job, number: int, worker: Worker) -> None:
    """Extracts one shard in a temporary folder, then moves it into its place.

    Args:
        job: the job.
        number: number of the shard.
        worker: process that does the clips.
    """
    target = shard_path(job.out, number)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is a rename; two workers may extract the same shard.
    with scratch_folder(target) as scratch:
        shard = job.shard(number, scratch)
        clips = job.clips(number)
        for slot in shard.missing:
            task = job.task(number, clips[slot], shard, slot)
            note(shard, task, worker.run(task))
        shard.finish()
        try:
            os.replace(shard.path, target)
        except OSError:
            # Another worker finished first, with the same bytes.
            if not target.exists():
                raise


def _beam() -> Any:
    try:
        import apache_beam
    except ImportError as error:
        what = "a runner needs, in an environment of its own with older versions of others,"
        raise missing("apache_beam", what, error) from error
    return apache_beam


def _extract_shards(beam: Any) -> Any:
    class ExtractShards(beam.DoFn):
        def __init__(self, out: str, content: dict[str, Any], timeout: float) -> None:
            self.out, self.content, self.timeout = out, content, timeout

        def setup(self) -> None:
            self.job = Job(Path(self.out), self.content)
            self.worker = Worker(self.job.setup(), self.timeout)

        def process(self, number: int) -> None:
            extract_shard(self.job, number, self.worker)

        def teardown(self) -> None:
            self.worker.close()

    return ExtractShards
