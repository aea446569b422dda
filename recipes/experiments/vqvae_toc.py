"""TOC before the decoder of a VQ-VAE, against random masks (Table 3, Figures 4 and 10).

Trains a VQ-VAE of 128 codes of 128 dimensions on images, masks a share of the dimensions and
decodes the test images from the rest. Dimensions are chosen by TOC, by its parts, by TOC with codes
weighted by their measured use, and 100 times at random. Everything is measured twice: with masked
dimensions at zero, as in the paper, and with the mean of all codes subtracted, so that a masked
dimension has its mean value; the decoder is the same.

    python -m recipes vqvae_toc                                    # rendered shapes, no download
    python -m recipes vqvae_toc --data digits --root FOLDER --seeds 5
    python -m recipes vqvae_toc --data digits --root FOLDER --seeds 5 --imbalance 100
    python -m recipes vqvae_toc --data folder --root CELEBA_HQ --side 128 --preset paper

Leaves `table.md`, `report.html`, `result.json`, `model.keras` and pictures in the output folder.
About two minutes a seed on one core. Expected: with codes from their mean, TOC below the mean of
the random masks at every share; see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.raw import image_sets
from recipes.protocol import masked_decoding
from recipes.reporting import codebook_sections, masking_tables, report_writer, tables
from recipes.reporting.image_grid import image_grid
from recipes.reporting.page import Gallery, Picture, Section, Text
from recipes.runner.options import RecipeOptions
from recipes.runner.provenance import set_seed, write_json
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import MODEL, Settings
from recipes.training.trained_encoders import read_history

OPTIONS = RecipeOptions(
    (
        *("data", "root", "num_images", "side", "imbalance", "preset", "hidden_channels"),
        *("epochs", "batch_size", "learning_rate", "num_masks", "masked", "variance_weight"),
    ),
    data=image_sets.SOURCES,
    defaults={
        "num_images": {"train": 6000, "val": 500, "test": 128},
        "preset": "small",
        "batch_size": 64,
        "learning_rate": 1e-3,
    },
    smoke={
        "num_images": {"train": 64, "val": 16, "test": 12},
        "batch_size": 16,
        "hidden_channels": 8,
        "num_masks": 5,
        "masked": (75.0, 25.0),
    },
)
HISTORY = "history.json"


def check(settings: Settings) -> Settings:
    """Checks the shares of masked dimensions.

    Args:
        settings: resolved settings.

    Returns:
        The same settings.

    Raises:
        ValueError: if a share lies outside [0, 100).
    """
    for share in settings.masked:
        masked_decoding.kept_channels(share, 1)
    return settings


def run(job: Job, out: Path) -> dict[str, Any]:
    """Runs the recipe on one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    images = image_sets.load_images(
        settings.data,
        settings.num_images,
        job.resources.root,
        0,
        settings.side,
        settings.imbalance,
    )
    pixels = masked_decoding.as_floats(images.pixels)
    set_seed(job.seed)
    model, history = masked_decoding.train_vqvae(
        pixels,
        settings.preset,
        settings.hidden_channels,
        settings.epochs,
        settings.batch_size,
        settings.learning_rate,
        job.seed,
    )
    decoding = masked_decoding.MaskedDecoding(
        model, pixels, settings.variance_weight, settings.num_masks, job.seed
    )
    measured = decoding.measure(settings.masked)
    for view in masking_tables.VIEWS:
        grid = image_grid(decoding.reconstructions(view, settings.masked))
        (out / f"reconstructions_{view}.png").write_bytes(grid)
    model.save(out / MODEL)
    write_json(out / HISTORY, history)
    return {**measured, "parameters": model.count_params(), "features": images.checksums}


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    first = runs[0]
    unmasked = tables.cell([run.result["unmasked"] for run in runs], 4)
    grids: list[Any] = [
        Picture(
            first.picture(f"reconstructions_{view}.png"), f"reconstructions, {text}", photo=True
        )
        for view, text in masking_tables.VIEWS.items()
    ]
    curves = Gallery(masking_tables.curves(runs), large=True)
    losses = codebook_sections.loss_blocks(
        read_history(first.folder / HISTORY), ("reconstruction", "commitment")
    )
    sections = [
        Section("Errors by masked dimensions", [curves, Text(f"Nothing masked: {unmasked}.")]),
        Section(
            "Test images from masked codes",
            [*grids, Text(f"Seed {first.result['seed']}.", soft=True)],
        ),
        Section("Training", losses),
    ]
    title = "TOC before a decoder, against random masks"
    method = masking_tables.method(first.result["settings"])
    return report_writer.publish(
        out, title, runs, masking_tables.all_tables(runs), sections, method
    )
