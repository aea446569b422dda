"""Trains every model on the same clips, and measures each across modalities in the same way.

    python -m data_tools prepare natural --root FOLDER --out FEATURES
    python -m recipes compare --data natural --features FEATURES --seeds 5 --out DIR
    python -m recipes compare --data digits --root FOLDER --seeds 5 --trials 4 --out DIR
    python -m recipes compare --data digits --root FOLDER --seeds 5 --ablate plus --out DIR

All models have the same clips, epochs and batches. Of each training the epoch is kept that is best
on validation clips of the probe's own modality. Measured are linear probes trained on one modality
and tested on another, from the vectors of codes and from their identities (which codes a clip uses,
and nothing else), with few labels, on seconds of events, with fewer dimensions (TOC); retrieval;
how far modalities share codes; time and memory. Intervals are over seeds, and by drawing the
recordings, pictures and captions of the test clips anew.

`--trials N` tunes every model by N trials, its preset and N - 1 draws from its space in
`recipes/training/hyperparameter_spaces.py`, by the accuracy of probes on validation clips of the
modality that they were trained on: other modalities and test clips are not read. The settings
chosen go to `tuned.json`, which `--tuned` reads to save the search; without either, models run as
chosen in `recipes/configs`. Every model and seed runs in a process of its own, `--workers` at once;
finished trials and measurements are found again by content in `--cache`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recipes.protocol.clips import CLIP_SETS, clip_labels, clip_origins, num_clips
from recipes.reporting import compare_pictures, compare_tables, report_writer
from recipes.runner.options import DATA, RecipeOptions
from recipes.runner.provenance import write_json
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import model_measurement, trained_encoders, tuned_models
from recipes.training.ablation_variants import undone_parts
from recipes.training.model_entries import all_entries, checked_entries

OPTIONS = RecipeOptions(
    (
        *("models", "ablate", "trials", "tuned", "method"),
        *("epochs", "batch_size", "cache", "toc_channels", "labels", "workers"),
        *(name for name in DATA if name not in ("max_clips", "protocol")),
    ),
    data=CLIP_SETS,
    defaults={
        "num_clips": {"train": 400, "val": 200, "test": 500},
        "epochs": 8,
        "batch_size": 32,
        "method": "random",
        "max_clips": None,
        "protocol": "heldout",
        "learning_rate": 4e-4,
    },
    smoke={"models": ("fcid", "simmmdg"), "labels": (2,)},
    by_data={"natural": {"epochs": 6}, "folders": {"epochs": 6}},
)
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks models, presets and tuned settings.

    Args:
        settings: resolved settings.

    Returns:
        Settings with an entry per model, the settings known of each, and the variants of
        `--ablate`.

    Raises:
        FileNotFoundError: if the file of tuned settings does not exist.
        ValueError: if a model is unknown, or options exclude each other.
    """
    if settings.ablate is not None:
        if settings.models not in (None, OPTIONS.smoke["models"]):
            raise ValueError("--ablate names its models itself; leave out --models")
        variants = undone_parts(settings.ablate)
        settings = settings.replace(models=tuple(variants), variants=variants)
    else:
        entries = checked_entries(settings.models or all_entries())
        variants = {entry: {"entry": entry, "arguments": {}} for entry in entries}
        settings = settings.replace(models=entries, variants=variants)
    entries = tuple(dict.fromkeys(variant["entry"] for variant in variants.values()))
    known = {} if settings.trials else tuned_models.known_settings(settings, entries)
    if settings.trials and settings.tuned:
        raise ValueError("--trials searches for what --tuned brings: give one of them")
    return settings.replace(known=known)


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
    tuned = dict(settings.known)
    for variant in settings.variants.values():
        entry = variant["entry"]
        if entry not in tuned:
            tuned[entry] = tuned_models.tune_model(job, clips, entry)

    def measured(name: str) -> dict[str, Any]:
        variant = settings.variants[name]
        entry = variant["entry"]
        chosen = tuned_models.applied(settings, entry, tuned[entry], variant["arguments"])
        chosen = chosen.replace(preset=variant.get("preset", chosen.preset))
        found = model_measurement.cached_measurement(
            job.cache, chosen, clips, job.seed, job.resources.workers
        )
        means = [
            f"{view} {100 * compare_tables.mean_of_four(found['scores'][view]):.1f} %"
            for view in ("codes", "identities")
            if view in found["scores"]
        ]
        print(f"{name}, seed {job.seed}: mean of four, {', '.join(means)}", flush=True)
        return found

    with ThreadPoolExecutor(job.resources.workers) as pool:
        models = dict(zip(settings.variants, pool.map(measured, settings.variants), strict=True))
    write_json(out / tuned_models.TUNED, {"data": settings.data, "models": tuned})
    classes = clip_labels(clips, "test")
    first = next(iter(models))
    compare_pictures.write_shared_codes(
        out, clips, first, models[first].get("clip_codes", {}), job.resources.root
    )
    return {
        "protocol": "heldout",
        "chance": 1 / len(clips.categories()),
        "categories": list(clips.categories()),
        "num_clips": num_clips(clips),
        "classes": classes.tolist(),
        "groups": clip_origins(clips, "test", "groups"),
        "collections": clip_origins(clips, "test", "collections"),
        "raw": model_measurement.raw_scores(clips),
        "models": models,
        "tuned": tuned,
        "features": clips.identity(),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results = [run.result for run in runs]
    tables = compare_tables.all_tables(results)
    if len(runs) > 1:
        about = {"data": results[0]["settings"]["data"], "models": results[0]["tuned"]}
        write_json(out / tuned_models.TUNED, about)
    method = compare_tables.method(results[0])
    return report_writer.publish(
        out, "Models compared", runs, tables, compare_pictures.confusions(results), method
    )
