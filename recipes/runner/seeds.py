"""One recipe over one seed or several: what is there already, what is left to do, and the whole."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from data_tools.io.files import read_json
from recipes.reporting import figures
from recipes.runner import provenance
from recipes.runner.output import RESULT, check_output_folder, output_folder

REQUIRED = ("recipe", "seed", "settings", "versions")
"""What the result of a seed must say, see `recipes.runner.provenance.about`."""


class Run(NamedTuple):
    """A finished seed of a recipe."""

    folder: Path
    result: dict[str, Any]

    def json(self, name: str) -> Any:
        """Contents of a JSON file that the run left.

        Args:
            name: of the file.

        Returns:
            What it holds.
        """
        return read_json(self.folder / name)

    def picture(self, name: str) -> str:
        """A PNG picture that the run left, as an address for a page.

        Args:
            name: of the file.

        Returns:
            A `data:` address.
        """
        return figures.data_uri((self.folder / name).read_bytes(), "image/png")


def seeds_of(options: argparse.Namespace) -> list[int]:
    """The seeds of a command line.

    Args:
        options: with `seed`, the first, and `seeds`, how many.

    Returns:
        The seeds.

    Raises:
        ValueError: the first is negative or there is none.

    Example:

    >>> seeds_of(argparse.Namespace(seed=3, seeds=2))
    [3, 4]
    """
    if options.seed < 0:
        raise ValueError(f"--seed must be at least 0; received: {options.seed}")
    if options.seeds < 1:
        raise ValueError(f"--seeds must be at least 1; received: {options.seeds}")
    return list(range(options.seed, options.seed + options.seeds))


def seed_folder(options: argparse.Namespace, seed: int) -> Path:
    """Where the files of a seed go: one seed alone has the whole folder.

    Args:
        options: of the command line.
        seed: which.

    Returns:
        The folder.

    Example:

    >>> seed_folder(argparse.Namespace(out="run", seeds=2), 1).as_posix()
    'run/seed1'
    """
    return Path(options.out) / f"seed{seed}" if options.seeds > 1 else Path(options.out)


def run_all(recipe: Any, options: argparse.Namespace) -> str:
    """Runs a recipe on every seed, then sums the seeds up.

    A seed's files appear together once it is done, and stay whatever comes after.

    Args:
        recipe: module of the recipe.
        options: of the command line.

    Returns:
        What to print.

    Raises:
        ValueError: the folder holds something else, or an option is wrong.
    """
    seeds, out = seeds_of(options), Path(options.out)
    settings = recipe.settings_of(options)
    check_output_folder(out, options.recipe, several=len(seeds) > 1)
    # All are looked at before anything is computed.
    kept = {seed: finished(options, settings, seed) if options.resume else None for seed in seeds}
    runs = []
    try:
        for place, seed in enumerate(seeds, start=1):
            if len(seeds) > 1:
                print(f"seed {seed}, {place} of {len(seeds)}", flush=True)
            run, text = run_seed(recipe, options, seed, kept[seed])
            runs.append(run)
    finally:
        with contextlib.suppress(OSError):
            # Succeeds on an empty folder only.
            out.rmdir()
    if len(seeds) == 1:
        return text
    with output_folder(out, options.recipe, several=True) as scratch:
        whole = {**provenance.about(options, settings), "seeds": seeds}
        del whole["seed"]
        provenance.write_json(scratch / RESULT, {**whole, "runs": [run.result for run in runs]})
        return recipe.report(runs, scratch)


def run_seed(
    recipe: Any, options: argparse.Namespace, seed: int, kept: Run | None = None
) -> tuple[Run, str]:
    """Runs a recipe on one seed, or only writes the report of a finished one anew.

    Args:
        recipe: its module.
        options: of the command line.
        seed: which.
        kept: the finished run to keep.

    Returns:
        The run, and what to print.

    Raises:
        ValueError: the recipe left no result, or one that does not say what is required.
    """
    folder = seed_folder(options, seed)
    with output_folder(folder, options.recipe) as scratch:
        if kept:
            print(f"kept: {folder / RESULT}", flush=True)
            return kept, recipe.report([kept], scratch)
        start = time.perf_counter()
        recipe.run(argparse.Namespace(**{**vars(options), "seed": seed}), scratch)
        result = read_json(scratch / RESULT)
        missing = [key for key in REQUIRED if key not in result]
        if missing:
            raise ValueError(
                f"the result of {options.recipe} must hold {REQUIRED}; missing: {missing}"
            )
        result["total_seconds"] = round(time.perf_counter() - start, 2)
        provenance.write_json(scratch / RESULT, result)
        text = recipe.report([Run(scratch, result)], scratch)
    return Run(folder, result), text


def finished(options: argparse.Namespace, settings: Any, seed: int) -> Run | None:
    """The finished run of a seed, if there is one.

    Args:
        options: of the command line.
        settings: of the run, a dataclass.
        seed: which.

    Returns:
        The run, or None where there is none yet.

    Raises:
        ValueError: there is a run of other settings, of another seed or engine.

    Example:

    >>> options = argparse.Namespace(out="nowhere", seeds=1)
    >>> finished(options, None, 0) is None
    True
    """
    folder = seed_folder(options, seed)
    if not (folder / RESULT).is_file():
        return None
    result = read_json(folder / RESULT)
    wanted = provenance.plain(
        provenance.about(argparse.Namespace(**{**vars(options), "seed": seed}), settings)
    )
    for key, theirs, ours in differences(result, wanted):
        raise ValueError(
            f"--resume keeps runs of the same settings; {folder} has {key} {theirs!r}, not "
            f"{ours!r}: choose another folder, or run without --resume"
        )
    return Run(folder, result)


def differences(result: dict[str, Any], wanted: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """In what a result is of another run than the one wanted.

    Args:
        result: of a seed.
        wanted: what `recipes.runner.provenance.about` says of the run to come.

    Returns:
        Name, value there, value wanted, of each difference in seed, settings and engine.

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


def plan(recipe: Any, options: argparse.Namespace) -> str:
    """What a run would do, with every option checked and nothing written.

    Args:
        recipe: its module.
        options: of the command line.

    Returns:
        Lines.

    Raises:
        ValueError: as `run_all` before it computes anything.
    """
    seeds, settings = seeds_of(options), recipe.settings_of(options)
    check_output_folder(Path(options.out), options.recipe, several=len(seeds) > 1)
    lines = [f"recipe    {options.recipe}", f"command   {options.command}"]
    for seed in seeds:
        kept = options.resume and finished(options, settings, seed)
        state = "finished, kept" if kept else "to run"
        lines.append(f"seed {seed:<4} {state}, in {seed_folder(options, seed)}")
    written = json.dumps(provenance.plain(dataclasses.asdict(settings)), indent=2)
    return "\n".join([*lines, f"settings  {written}"])
