"""Open-set cross-modal generalisation: probes of known classes meet unknown ones elsewhere.

    python -m recipes open_set --data natural --features FOLDER --seeds 5 --out DIR
    python -m recipes open_set --data ave --root FOLDER --run RUN --known-classes 14   # or 21 of 28
    python -m recipes open_set --data ucf51 --root FOLDER --run RUN --known-classes 17 # or 34 of 51
    python -m recipes open_set --data ucf_vggsound --root FOLDER --run RUN --known-classes 8 # or 12

A probe is trained on clips of known classes in one modality, and tested on known and unknown
classes in another. Measured are the accuracy on known classes, the recall of unknown ones, their
harmonic mean (HOS), AUROC and FPR at 95 %, by the largest softmax (as published), the energy, the
distance to the codes of the class, and how often training clips of the class use the clip's codes.

Every number is given under both protocols. The published code (MICU, ICCV 2025) picks threshold
and epoch on the test labels: `reference`. Under `heldout` they are chosen on validation clips of
known classes in the modality that the probe was trained on. A table has the differences.

Without `--run`, every model of `--models` is trained without labels on the training clips, with the
settings of `--tuned` or of `recipes/configs`, in a process of its own, `--workers` at once. RUN is
a finished run of `pretrain`: its model alone is tested, at its last epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recipes.protocol.clips import CLIP_SETS
from recipes.protocol.open_set import PUBLISHED_KNOWN, known_classes
from recipes.reporting import charts, open_set_tables, report_writer
from recipes.reporting.page import Picture, Section
from recipes.runner.options import DATA, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import open_set_measurement, trained_encoders, tuned_models
from recipes.training.model_entries import all_entries, checked_entries

OPTIONS = RecipeOptions(
    (
        *("models", "run", "tuned", "known_classes", "class_order"),
        *("epochs", "batch_size", "cache", "workers"),
        *(name for name in DATA if name != "protocol"),
    ),
    data=(*CLIP_SETS, *PUBLISHED_KNOWN),
    defaults={
        "num_clips": {"train": 400, "val": 200, "test": 500},
        "epochs": 8,
        "batch_size": 32,
        "protocol": "heldout",
        "held_out": (),
    },
    smoke={"models": ("fcid", "simmmdg"), "max_clips": 200},
    by_data={"natural": {"epochs": 6}, "folders": {"epochs": 6}},
)
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks models, run and tuned settings.

    Args:
        settings: resolved settings.

    Returns:
        Settings with an entry per model, and the settings known of each.

    Raises:
        FileNotFoundError: if the file of tuned settings does not exist.
        ValueError: if a model is unknown, or options exclude each other.
    """
    if settings.run is not None:
        if settings.models not in (None, OPTIONS.smoke["models"]) or settings.tuned is not None:
            raise ValueError("--run brings its model; leave out --models and --tuned")
        return settings.replace(models=(), known={})
    if settings.data not in CLIP_SETS:
        raise ValueError(
            f"--data {settings.data} needs --run, a finished run of pretrain: its clips are those "
            "of the test"
        )
    entries = checked_entries(settings.models or all_entries())
    return settings.replace(models=entries, known=tuned_models.known_settings(settings, entries))


def run(job: Job, out: Path) -> dict[str, Any]:
    """Measures every model with one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    clips.require_modalities()
    names = clips.categories()
    known = known_classes(
        settings.data, len(names), settings.known_classes, settings.class_order, job.seed
    )
    result: dict[str, Any] = {
        "categories": list(names),
        "known": known.tolist(),
        "features": clips.identity(),
    }
    if settings.run is not None:
        encoder = trained_encoders.encoder_of(job, clips)
        found = open_set_measurement.measured_codes(encoder.backbone, clips, known.tolist())
        models = {type(encoder.model).__name__: {"epochs": [found]}}
        return {**result, "models": models, "encoder": encoder.about}

    def measured(entry: str) -> dict[str, Any]:
        of_model = tuned_models.applied(settings, entry, settings.known[entry])
        found = open_set_measurement.cached_measurement(
            job.cache, of_model, clips, job.seed, known.tolist(), job.resources.workers
        )
        hos = 100 * open_set_tables.heldout(found, "softmax", "quantile", "hos")
        print(f"{entry}, seed {job.seed}: harmonic mean by softmax {hos:.1f} %", flush=True)
        return found

    with ThreadPoolExecutor(job.resources.workers) as pool:
        models = dict(zip(settings.models, pool.map(measured, settings.models), strict=True))
    return {**result, "models": models, "tuned": dict(settings.known)}


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results = [run.result for run in runs]
    tables = open_set_tables.all_tables(results)
    chart = Picture(charts.grouped_bars(tables[0], "%"), tables[0].title)
    return report_writer.publish(
        out,
        "Open-set cross-modal generalisation",
        runs,
        tables,
        [Section("Harmonic means at a glance", [chart])],
        open_set_tables.method(results),
    )
