"""Trains models with each quantiser of the library on the same clips, and on images.

    python -m recipes quantizers --seeds 5 --out DIR                # rendered clips, no download
    python -m data_tools prepare natural --root FOLDER --out FEATURES
    python -m recipes quantizers --data natural --features FEATURES --seeds 5 --out DIR

FCID and CMCM are trained with each quantiser of `recipes.training.quantizer_variants`, at about the
number of codes of their presets (`--models fcid:disentangled` for the paper's losses), and measured
as in the recipe `compare`: probes across modalities from vectors and from identities of codes,
retrieval, overlap of the modalities' codes, time and memory. The VQ-VAE of images is trained with
the same family: reconstruction, perplexity, codes used. Differences are paired with the preset's
own quantiser. `--workers N` trains N models at once, whose seconds then compare within a run
only.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data_tools.raw import image_sets
from recipes.protocol.clips import CLIP_SETS, clip_labels, clip_origins, num_clips
from recipes.reporting import compare_tables, quantizer_tables, report_writer
from recipes.runner.options import DATA, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import (
    image_measurement,
    model_measurement,
    trained_encoders,
    tuned_models,
)
from recipes.training.model_entries import checked_entries, parts
from recipes.training.quantizer_variants import NAMES, check_quantizers, quantizer_arguments

OPTIONS = RecipeOptions(
    (
        *("models", "quantizers", "tuned", "num_images", "hidden_channels"),
        *("epochs", "batch_size", "cache", "toc_channels", "labels", "workers"),
        *(name for name in DATA if name not in ("max_clips", "protocol")),
    ),
    data=CLIP_SETS,
    defaults={
        "models": ("fcid", "cmcm"),
        "num_clips": {"train": 400, "val": 200, "test": 500},
        "num_images": {"train": 2000, "val": 100, "test": 500},
        "epochs": 8,
        "batch_size": 32,
        "labels": (10,),
        "max_clips": None,
        "protocol": "heldout",
        "learning_rate": 4e-4,
    },
    smoke={
        "models": ("cmcm",),
        "quantizers": ("codebook", "fsq", "residual"),
        "labels": (2,),
        "num_images": {"train": 32, "val": 16, "test": 12},
        "hidden_channels": 8,
    },
    by_data={"natural": {"epochs": 6}, "folders": {"epochs": 6}},
)
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks models and quantisers.

    Args:
        settings: resolved settings.

    Returns:
        Settings with an entry per model, the quantisers, and the settings known of each model.

    Raises:
        FileNotFoundError: if the file of tuned settings does not exist.
        ValueError: if a model or quantiser is unknown, or a model has no codes.
    """
    entries = checked_entries(settings.models)
    names = tuple(settings.quantizers or NAMES)
    check_quantizers(names)
    without = [entry for entry in entries if parts(entry)[0] == "simmmdg"]
    if without:
        raise ValueError(f"--models must have codes. Received: {without}")
    known = tuned_models.known_settings(settings, entries)
    return settings.replace(models=entries, quantizers=names, known=known)


def run(job: Job, out: Path) -> dict[str, Any]:
    """Measures every model with every quantiser on one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    clips.require_modalities()

    def measured(variant: tuple[str, str]) -> dict[str, Any]:
        entry, name = variant
        known = settings.known[entry]
        chosen = tuned_models.applied(settings, entry, known, arguments[entry][name])
        found = model_measurement.cached_measurement(
            job.cache, chosen, clips, job.seed, job.resources.workers
        )
        mean = 100 * compare_tables.mean_of_four(found["scores"]["codes"])
        print(f"{entry}, {name}, seed {job.seed}: mean of four {mean:.1f} %", flush=True)
        return found

    arguments = {
        entry: quantizer_arguments(settings.quantizers, *parts(entry), job.seed)
        for entry in settings.models
    }
    variants = [(entry, name) for entry in settings.models for name in arguments[entry]]
    with ThreadPoolExecutor(job.resources.workers) as pool:
        found = dict(zip(variants, pool.map(measured, variants), strict=True))
    images = image_sets.load_images("synthetic", settings.num_images)
    of_images = quantizer_arguments(
        settings.quantizers, "vqvae", image_measurement.PRESET, job.seed
    )
    trained_images = {}
    for name, of_image in of_images.items():
        trained_images[name] = image_measurement.cached_images(
            job.cache, settings, images, of_image, job.seed
        )
        error = trained_images[name]["squared_error"]
        print(f"images, {name}, seed {job.seed}: squared error {error:.5f}", flush=True)
    return {
        "protocol": "heldout",
        "chance": 1 / len(clips.categories()),
        "num_clips": num_clips(clips),
        "classes": clip_labels(clips, "test").tolist(),
        "groups": clip_origins(clips, "test", "groups"),
        "trained": {
            entry: {name: found[entry, name] for name in arguments[entry]}
            for entry in settings.models
        },
        "images": trained_images,
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
    tables = quantizer_tables.all_tables(results)
    method = quantizer_tables.method(results[0])
    return report_writer.publish(out, "Quantisers compared", runs, tables, method=method)
