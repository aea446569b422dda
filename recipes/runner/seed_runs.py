"""Runs a recipe for one seed or several: what is finished, what is left, and the summary."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from data_tools.io.files import check_writable, read_record, reading, shorten
from recipes.runner import provenance
from recipes.runner.output_folder import RESULT, check_output_folder, output_folder
from recipes.runner.settings import Settings, resolve, resolve_seeds

RESULTS = {"recipe": str, "seed": int, "settings": dict, "versions": {str: str}}
"""Form of the result of a seed."""


class Job(NamedTuple):
    """One seed of a recipe."""

    recipe: str
    command: str
    settings: Settings
    """Values that decide what is measured, besides the seed."""
    resources: Settings
    """Folders, devices, workers; `--smoke`."""
    seed: int

    @property
    def cache(self) -> Path:
        """Folder of what is found again by its content."""
        return Path(getattr(self.resources, "cache", None) or Path(self.resources.out) / "cache")


class Plan(NamedTuple):
    """The seeds that a command asks for."""

    recipe: str
    resources: Settings
    jobs: list[Job]
    finished: dict[int, Run]
    """Seed to the run that `--resume` keeps."""


class Run(NamedTuple):
    """A finished seed of a recipe."""

    folder: Path
    result: dict[str, Any]

    def picture(self, name: str) -> bytes:
        """Reads a picture that the run left.

        Args:
            name: name of the file.

        Returns:
            Content of the PNG file.
        """
        return (self.folder / name).read_bytes()


def plan(name: str, recipe: Any, given: argparse.Namespace, command: str) -> Plan:
    """Checks the options of a command; computes and writes nothing.

    Args:
        name: name of the recipe.
        recipe: its module.
        given: parsed command line.
        command: command line, as text.

    Returns:
        The seeds to run, and those that are finished.

    Raises:
        ValueError: if an option is wrong, or the output folder holds something else.
    """
    jobs = []
    first, count = resolve_seeds(given)
    for seed in range(first, first + count):
        settings, resources = resolve(recipe.OPTIONS, given, seed)
        if hasattr(recipe, "check"):
            settings = recipe.check(settings)
        jobs.append(Job(name, command, settings, resources, seed))
    check_output_folder(Path(resources.out), name, several=count > 1)
    check_writable(resources.out, "--out")
    kept = {}
    if resources.resume:
        found = {job.seed: finished(job, recipe) for job in jobs}
        kept = {seed: run for seed, run in found.items() if run is not None}
    return Plan(name, resources, jobs, kept)


def plan_text(planned: Plan) -> str:
    """Returns a plan as lines of text.

    Args:
        planned: the seeds.
    """
    first = planned.jobs[0]
    lines = [f"recipe    {planned.recipe}", f"command   {first.command}"]
    for job in planned.jobs:
        state = "finished, kept" if job.seed in planned.finished else "to run"
        lines.append(f"seed {job.seed:<4} {state}, in {seed_folder(job)}")
    written = json.dumps(provenance.plain(vars(first.settings)), indent=2)
    return "\n".join([*lines, f"settings  {written}"])


def seed_folder(job: Job) -> Path:
    """Returns the folder of a seed; a single seed has the whole output folder.

    Args:
        job: the seed.

    Example:

    >>> resources = Settings(out="run", seeds=2)
    >>> seed_folder(Job("quickstart", "", Settings(), resources, 1)).as_posix()
    'run/seed1'
    """
    out = Path(job.resources.out)
    return out / f"seed{job.seed}" if job.resources.seeds > 1 else out


def run_all(recipe: Any, planned: Plan) -> str:
    """Runs every seed of a plan, then summarises the seeds.

    The files of a seed appear together when it is finished, and stay if a later seed fails.

    Args:
        recipe: module of the recipe.
        planned: the seeds.

    Returns:
        Text to print.

    Raises:
        ValueError: if a seed fails.
    """
    jobs, out, runs = planned.jobs, Path(planned.resources.out), []
    try:
        for place, job in enumerate(jobs, start=1):
            if len(jobs) > 1:
                print(f"seed {job.seed}, {place} of {len(jobs)}", flush=True)
            run, text = run_seed(recipe, job, planned.finished.get(job.seed))
            runs.append(run)
    finally:
        with contextlib.suppress(OSError):
            # Succeeds on an empty folder only.
            out.rmdir()
    if len(jobs) == 1:
        return text
    with output_folder(out, planned.recipe, several=True) as scratch:
        whole = {**provenance.about(jobs[0]), "seeds": [job.seed for job in jobs]}
        del whole["seed"]
        provenance.write_json(scratch / RESULT, {**whole, "runs": [run.result for run in runs]})
        return recipe.report(runs, scratch)


def write_report(folder: Path, load: Callable[[str], Any]) -> str:
    """Writes the report of a finished run again.

    Args:
        folder: folder of the run, of one seed or several.
        load: function of a recipe's name that returns its module.

    Returns:
        Text to print.

    Raises:
        FileNotFoundError: if the folder holds no finished run.
        ValueError: if its result is damaged.
    """
    if not (folder / RESULT).is_file():
        raise FileNotFoundError(f"`run` must be a folder with a {RESULT}. Received: {folder}")
    whole = read_record(folder / RESULT, {"recipe": str, "seeds?": ([int], None)})
    name, seeds = whole["recipe"], whole.get("seeds")
    with reading(folder / RESULT, "be the result of a recipe"):
        recipe = load(name)
    folders = [folder] if seeds is None else [folder / f"seed{seed}" for seed in seeds]
    runs = [Run(each, read_record(each / RESULT, RESULTS)) for each in folders]
    with output_folder(folder, name, several=seeds is not None) as scratch:
        return _report_of_kept(recipe, runs, scratch)


def _report_of_kept(recipe: Any, runs: list[Run], scratch: Path) -> str:
    """Writes the report of finished runs, whose results may have been damaged since."""
    with reading(runs[0].folder / RESULT if runs else RESULT, "be the result of a recipe"):
        return recipe.report(runs, scratch)


def run_seed(recipe: Any, job: Job, kept: Run | None = None) -> tuple[Run, str]:
    """Runs one seed, or only writes the report of a finished one again.

    Args:
        recipe: module of the recipe.
        job: the seed.
        kept: finished run to keep.

    Returns:
        The run, and the text to print.
    """
    folder = seed_folder(job)
    with output_folder(folder, job.recipe) as scratch:
        if kept:
            print(f"kept: {folder / RESULT}", flush=True)
            return kept, _report_of_kept(recipe, [kept], scratch)
        start = time.perf_counter()
        measured = recipe.run(job, scratch)
        result = {**provenance.about(job), **measured}
        result["total_seconds"] = round(time.perf_counter() - start, 2)
        provenance.write_json(scratch / RESULT, result)
        # As the next command reads it.
        run = Run(scratch, read_record(scratch / RESULT, RESULTS))
        text = recipe.report([run], scratch)
    return Run(folder, run.result), text


def finished(job: Job, recipe: Any = None) -> Run | None:
    """Returns the finished run of a seed, or None.

    Args:
        job: the seed.
        recipe: module of the recipe; its `data_identity` is compared with that of the run.

    Raises:
        ValueError: if there is a run of other settings, data, seed or engine.

    Example:

    >>> resources = Settings(out="nowhere", seeds=1)
    >>> finished(Job("quickstart", "", Settings(), resources, 0)) is None
    True
    """
    folder = seed_folder(job)
    if not (folder / RESULT).is_file():
        return None
    result = read_record(folder / RESULT, RESULTS)
    wanted = provenance.plain(provenance.about(job))
    for key, theirs, ours in differences(result, wanted):
        raise ValueError(
            f"--resume keeps runs of the same settings; {folder} has {key} "
            f"{shorten(repr(theirs))}, not {ours!r}: choose another folder, or run without --resume"
        )
    identity = getattr(recipe, "data_identity", None)
    if identity and "features" in result and result["features"] != provenance.plain(identity(job)):
        raise ValueError(
            f"--resume keeps runs on the same data; {folder} was measured on other data: choose "
            "another folder, or run without --resume"
        )
    return Run(folder, result)


def differences(result: dict[str, Any], wanted: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns the differences of a finished run from the one wanted.

    Args:
        result: content of `result.json`.
        wanted: as `recipes.runner.provenance.about` returns it.

    Returns:
        Name, value of the finished run and value wanted, of seed, engine and settings.

    Example:

    >>> run = {"seed": 0, "settings": {"epochs": 1}, "versions": {"engine": "jax"}}
    >>> differences(run, {**run, "settings": {"epochs": 2}})
    [('epochs', 1, 2)]
    """
    pairs = [("seed", result.get("seed"), wanted["seed"])]
    pairs.append(("engine", result["versions"].get("engine"), wanted["versions"]["engine"]))
    there = result["settings"]
    for key in dict.fromkeys([*wanted["settings"], *there]):
        pairs.append((key, there.get(key), wanted["settings"].get(key)))
    return [pair for pair in pairs if pair[1] != pair[2]]
