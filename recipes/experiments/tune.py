"""Searches for settings of a system, and asks on fresh seeds whether they beat the preset.

KerasTuner tries settings; each is trained without labels on several seeds. The score is the
accuracy of linear probes on validation clips of the modality they were trained on: the search
sees no target modality and no test label. Afterwards preset and best settings are trained on seeds
that the search has not used, and only there the cross-modal test scores are read, once.

    python -m recipes tune                                    # FCID on synthetic data
    python -m recipes tune --system dcid --trials 20 --workers 4
    python -m recipes tune --data digits --root FOLDER

A search that was stopped goes on where it stood when the same command is given again; its trials
are in the folder `search` of the output.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import data_tools
import keras_cmg
from keras_cmg import tuning
from recipes.reporting import figures, scores
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.reporting.tables import Table, interval, over_seeds
from recipes.runner import provenance, settings
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training.search_process import VIEW, Job, search

FRESH = 1000
"""First seed of the comparison; a search has fewer."""


@dataclasses.dataclass
class Settings:
    """What a search is made of; every field but `num_clips` is an option."""

    data: str
    num_clips: dict[str, int]
    system: str = "fcid"
    preset: str = "small"
    trials: int = 12
    trial_seeds: int = 2
    final_seeds: int = 5
    epochs: int = 10
    batch_size: int = 80
    probe_epochs: int = 25
    method: str = "bayesian"
    tuned: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(tuning.Space))


CLIPS = {"train": 600, "val": 200, "test": 400}
DEFAULTS = {name: Settings(name, CLIPS) for name in ("synthetic", "digits")}
SMOKE: dict[str, Any] = {
    "num_clips": {"train": 40, "val": 20, "test": 20},
    "trials": 2,
    "trial_seeds": 1,
    "final_seeds": 1,
    "epochs": 1,
    "batch_size": 10,
    "probe_epochs": 2,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    parser.add_argument("--data", choices=sorted(DEFAULTS), default="synthetic", help="data set")
    parser.add_argument("--root", help="folder of the raw files (default: download where needed)")
    parser.add_argument("--features", help="folder of prepared features (default: OUT/features)")
    parser.add_argument("--system", choices=keras_cmg.models.list_models(), help="what is tuned")
    parser.add_argument("--preset", help="where the search starts from (default: small)")
    parser.add_argument("--trials", type=int, help="how many settings are tried")
    parser.add_argument("--trial-seeds", type=int, help="trainings of each")
    parser.add_argument("--final-seeds", type=int, help="trainings of the preset and of the best")
    parser.add_argument("--epochs", type=int, help="of each training")
    parser.add_argument("--batch-size", type=int, help="clips per step")
    parser.add_argument("--probe-epochs", type=int, help="of training a probe")
    parser.add_argument("--method", choices=("bayesian", "random"), help="of the search")
    parser.add_argument(
        "--tuned",
        nargs="+",
        choices=DEFAULTS["synthetic"].tuned,
        metavar="NAME",
        help=f"what is searched: {', '.join(DEFAULTS['synthetic'].tuned)} (default: all)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that run trials")


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the data set, of `--smoke`, and of the options given, the last one counting."""
    chosen = settings.resolve(DEFAULTS[options.data], options, SMOKE)
    numbers = "trials trial_seeds final_seeds epochs batch_size probe_epochs".split()
    settings.check_positive(chosen, numbers)
    if options.workers < 1:
        raise ValueError(f"--workers must be at least 1; received: {options.workers}")
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs a search and the comparison after it.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    start = time.perf_counter()
    chosen = settings_of(options)
    folder = options.features or Path(options.out) / "features"
    features = data_tools.prepare(
        options.data, folder, options.root, num_clips=chosen.num_clips, progress=True
    )
    space = tuning.Space()
    job = Job(
        chosen.system,
        str(features),
        str(Path(options.out) / "search"),
        chosen.preset,
        {name: getattr(space, name) if name in chosen.tuned else () for name in vars(space)},
        tuple(range(options.seed, options.seed + chosen.trial_seeds)),
        chosen.epochs,
        chosen.batch_size,
        chosen.probe_epochs,
        chosen.trials,
        options.seed,
        chosen.method,
    )
    model = job.model()
    search(job, options.workers)
    found = trials(job)
    preset, best = model.defaults(), found[0]["values"]
    at_preset = [model.measure(preset, seed) for seed in job.seeds]
    search_seconds = time.perf_counter() - start
    seeds = [FRESH + i for i in range(chosen.final_seeds)]
    compared = {
        name: [final(job, model, values, seed) for seed in seeds]
        for name, values in (("preset", preset), ("best found", best))
    }
    provenance.write_json(
        out / RESULT,
        {
            **provenance.about(options, chosen),
            "preset_values": preset,
            "preset_score": sum(at_preset) / len(at_preset),
            "trials": found,
            "final_seeds": seeds,
            "final": compared,
            "search_seconds": round(search_seconds, 1),
            "workers": options.workers,
        },
    )


def trials(job: Job) -> list[dict[str, Any]]:
    """What was tried, the best first; trials that failed last.

    Args:
        job: the search, at its end.

    Returns:
        For each trial its number, values, score and, if it failed, the message.

    Raises:
        ValueError: all failed.
    """
    known = job.tuner().oracle.trials.values()
    found = [
        {
            "trial": int(trial.trial_id),
            "values": trial.hyperparameters.values,
            "score": trial.score,
            "message": trial.message,
        }
        for trial in known
    ]
    if all(trial["score"] is None for trial in found):
        raise ValueError(f"every trial failed; the last: {found[-1]['message']}")
    return sorted(found, key=lambda t: (t["score"] is None, -(t["score"] or 0), t["trial"]))


def final(job: Job, model: tuning.CMGHyperModel, values: dict, seed: int) -> dict[str, float]:
    """One training on a fresh seed, and all its scores.

    Args:
        job: the search.
        model: what was searched.
        values: the settings.
        seed: of the training.

    Returns:
        `source validation`, `across modalities` and `within a modality`, shares.
    """
    backbone = model.trained(values, seed).backbone
    probes = job.probes(backbone, model.mask(values, backbone), seed, test=True)
    test, own = probes.scores[VIEW], probes.validation[VIEW]
    within = [score for pair, score in test.items() if scores.within(pair)]
    return {
        "source validation": sum(own.values()) / len(own),
        "across modalities": scores.mean_across(test),
        "within a modality": sum(within) / len(within),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes tables and a page with a picture of the search.

    Args:
        runs: finished searches.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    tables = [finals_table(runs), *(trials_table(run) for run in runs)]
    sections = [
        pages.section(
            f"The search, seed {run.result['seed']}",
            pages.picture(
                figures.search(
                    [t["score"] for t in sorted(run.result["trials"], key=lambda t: t["trial"])],
                    run.result["preset_score"],
                ),
                "score of each trial, the best so far, and the preset's",
            ),
        )
        for run in runs
    ]
    return publishing.publish(out, "Tuning", runs, tables, sections, __doc__.partition("\n\n")[0])


def finals_table(runs: Sequence[Run]) -> Table:
    """The preset and the best settings found, on fresh seeds.

    Args:
        runs: finished searches.

    Returns:
        The table, with the paired difference.
    """
    measured: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for name, results in run.result["final"].items():
            for result in results:
                for column, value in result.items():
                    measured.setdefault(name, {}).setdefault(column, []).append(100 * value)
    first, second = measured.values()
    measured["difference"] = {
        column: [b - a for a, b in zip(first[column], second[column], strict=True)]
        for column in first
    }
    mean, half = interval(measured["difference"]["across modalities"])
    verdict = (
        "Settings that are better across modalities were found"
        if mean - half > 0
        else "No settings were found that are clearly better across modalities"
    )
    return over_seeds(
        "Preset and best settings on fresh seeds",
        "settings",
        measured,
        note=f"{verdict}: the difference is paired by seed. Accuracy in per cent.",
    )


def trials_table(run: Run) -> Table:
    """The trials of a search, the best first.

    Args:
        run: a finished search.

    Returns:
        The table.
    """

    def shown(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    result = run.result
    columns = tuple(result["preset_values"])
    lines = [("preset", result["preset_values"], result["preset_score"])]
    lines += [(f"trial {t['trial']}", t["values"], t["score"]) for t in result["trials"]]
    rows = tuple(
        (
            name,
            (
                "failed" if score is None else f"{100 * score:.1f}",
                *(shown(values.get(column, "")) for column in columns),
            ),
        )
        for name, values, score in lines
    )
    seconds = pages.duration(result["search_seconds"])
    note = f"Score: source validation in per cent, what was searched for. It took {seconds}."
    return Table(f"Trials, seed {result['seed']}", "settings", ("score", *columns), rows, note)
