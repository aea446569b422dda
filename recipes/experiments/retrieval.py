"""Finds the partner of a clip in another modality, without any label (Tables 2 and 10).

Data: MSCOCO (pictures and sentences), Clotho (sounds and sentences) or FlickrSound (sounds and
pictures) in the published layouts, VALOR-32K for all three pairs; or digits or synthetic clips,
whose pairs of modalities take the place of the three sets. Metric: recall at 1, 5 and 10 by the
cosine of clip vectors, mean of both directions; each pair, each direction, discrete and continuous.

    python -m recipes retrieval --data mscoco --root FOLDER --run RUN    # RUN of `pretrain`
    python -m recipes retrieval --data digits --root FOLDER --seeds 3    # trains its own encoder

A minute or two on one core for digits. Published, FCID: R@10 of 9.6, 18.2 and 17.5. Clips of digits
and synthetic data differ by their class only: there a second table counts any clip of the class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol import clip_retrieval
from recipes.protocol.clips import CLIP_SETS, encoders
from recipes.protocol.cross_modal_probes import toc_masks
from recipes.protocol.table1_protocol import NO_CODES
from recipes.reporting import charts, paper_tables, recall_tables, report_writer, tables
from recipes.reporting.page import Picture, Section
from recipes.runner.options import DATA, ENCODER, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    ("num_pairs", "toc_channels", *DATA, *ENCODER),
    data=("mscoco", "clotho", "flickrsound", "valor", *CLIP_SETS),
    smoke={"toc_channels": (128,)},
)
METHOD = (
    "Each clip has one vector per modality; a query ranks all candidates by cosine. Codes tie "
    "often: the order of equals is taken as random. How many dimensions TOC keeps is the best on "
    "validation clips (training clips, where a set has no others). The published retrieval code "
    "is lost, so that both protocols measure alike; “reference” reads the splits as published."
)
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Measures recall with the encoder of one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.encoder_of(job, clips)
    limit = min(settings.num_pairs, settings.max_clips or settings.num_pairs)
    few = clips._replace(limit=limit)
    masks = toc_masks(settings.toc_channels, encoder.backbone.code_source())
    names = [name for name in clips.modalities() if name in encoder.backbone.modalities]
    print(f"searching among at most {limit} clips", flush=True)
    of_clips = encoders(encoder.backbone, names, dict.fromkeys(names, "clip"))
    vectors = clip_retrieval.clip_vectors(of_clips, few, "test", masks)
    result: dict[str, Any] = {
        "protocol": settings.protocol,
        "encoder": encoder.about,
        "features": clips.identity(),
        "clips": vectors.num_clips,
        "partner": clip_retrieval.recalls(vectors),
    }
    if vectors.of_class is not None:
        result["same class"] = clip_retrieval.recalls(vectors, same_class=True)
    result["toc"] = {pair: name for pair in result["partner"] for name in masks}
    if len(masks) > 1:
        validation = clip_retrieval.validation_vectors(of_clips, few, masks)
        found = clip_retrieval.recalls(validation)
        result["toc"] = clip_retrieval.best_masks(found, list(masks))
    return result


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results, settings = [run.result for run in runs], runs[0].result["settings"]
    name = keras_cmg.models.get_model_class(settings["model"]).__name__
    measured = recall_tables.rows(results, name)
    main = tables.beside_published(
        paper_tables.RETRIEVAL, measured, digits=2, data=settings["data"]
    )
    if not results[0]["toc"]:
        main = dataclasses.replace(main, note=f"{main.note} {NO_CODES.format(name)}")
    kinds = [kind for kind in ("partner", "same class") if kind in results[0]]
    each = [recall_tables.all_directions(results, kind) for kind in kinds]
    shown = recall_tables.all_directions(results, kinds[-1], ranks=(10,))
    chart = Picture(charts.grouped_bars(shown, "%"), shown.title)
    return report_writer.publish(
        out,
        "Retrieval across modalities",
        runs,
        [main, *each],
        [Section("Recall at a glance", [chart])],
        f"Data: {settings['data']}, {results[0]['clips']} clips. {METHOD}",
    )
