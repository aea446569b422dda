"""Finds the partner of a clip in another modality, without any label (Tables 2 and 10).

Data: MSCOCO (pictures and sentences), Clotho (sounds and sentences) or FlickrSound (sounds and
pictures) in the published layouts, VALOR-32K for all three pairs; or digits or synthetic clips,
whose pairs of modalities stand in for the three sets. Metric: recall at 1, 5 and 10 by the cosine
of clip vectors, mean of both directions; each pair, each direction, discrete and continuous.

    python -m recipes retrieval --data mscoco --root FOLDER --run RUN    # RUN of `pretrain`
    python -m recipes retrieval --data digits --root FOLDER --seeds 3    # trains its own encoder

A minute or two on one core for digits. Published, FCID: R@10 of 9.6, 18.2 and 17.5. Clips of digits
and synthetic data can be told apart by their class alone: there a second table asks for any clip of
the same class.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol import clips, matching
from recipes.protocol.evaluation import NO_CODES
from recipes.protocol.probing import toc_masks
from recipes.reporting import charts, recall_tables, tables
from recipes.reporting import paper_tables as published
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

PUBLISHED = ("mscoco", "clotho", "flickrsound", "valor")
METHOD = (
    "Each clip has one vector per modality; a query ranks all candidates by cosine. Codes tie "
    "often: among equals the order is taken as random. How many dimensions TOC keeps is the best "
    "on validation clips (training clips, where a set has no others). The published retrieval code "
    "is lost, so that both protocols measure alike; “reference” reads the splits as published."
)


@dataclasses.dataclass
class Settings(Training):
    """Settings of the encoder, and of the search."""

    num_pairs: int = 500
    toc_channels: tuple[int, ...] = (192, 128, 64)


SMOKE = {"toc_channels": (128,)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, PUBLISHED)
    training.add_arguments(parser)
    parser.add_argument("--num-pairs", type=int, help="clips to search among (default: 500)")
    parser.add_argument(
        "--toc-channels", type=int, nargs="+", metavar="Q", help="dimensions that TOC keeps"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    chosen = training.settings_of(Settings(), options, SMOKE)
    if chosen.num_pairs < 10:
        raise ValueError(f"--num-pairs must be at least 10; received: {chosen.num_pairs}")
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Searches with the encoder of one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    made = pretraining.pretrained(options, chosen, source, options.seed)
    limit = min(chosen.num_pairs, chosen.max_clips or chosen.num_pairs)
    few = source._replace(limit=limit)
    masks = {}
    if made.backbone.codebook is not None:
        masks = toc_masks(chosen.toc_channels, made.backbone.codebook.shape[1])
        for mask in masks.values():
            mask.adapt(made.backbone.codebook)
    names = [name for name in source.modalities() if name in made.backbone.modalities]
    print(f"searching among at most {limit} clips", flush=True)
    encoders = clips.encoders(made.backbone, names, dict.fromkeys(names, "clip"))
    found = matching.views_of(encoders, few, "test", masks)
    result: dict[str, Any] = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "encoder": made.about,
        "features": source.identity(),
        "clips": found.num_clips,
        "partner": matching.recalls(found),
    }
    if found.of_class is not None:
        result["same class"] = matching.recalls(found, same_class=True)
    if len(masks) > 1:
        validation = matching.recalls(matching.held_out(encoders, few, masks))
        result["toc"] = matching.best_masks(validation, list(masks))
    else:
        result["toc"] = {pair: name for pair in result["partner"] for name in masks}
    provenance.write_json(out / RESULT, result)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results, chosen = [run.result for run in runs], runs[0].result["settings"]
    name = keras_cmg.models.get_model_class(chosen["system"]).__name__
    measured = recall_tables.rows(results, name)
    main = tables.beside_published(published.RETRIEVAL, measured, digits=2, data=chosen["data"])
    if not results[0]["toc"]:
        main = dataclasses.replace(main, note=f"{main.note} {NO_CODES.format(name)}")
    kinds = [kind for kind in ("partner", "same class") if kind in results[0]]
    each = [recall_tables.all_directions(results, kind) for kind in kinds]
    shown = recall_tables.all_directions(results, kinds[-1], ranks=(10,))
    section = pages.section(
        "Recall at a glance", pages.picture(charts.grouped(shown, "%"), shown.title)
    )
    method = f"Data: {chosen['data']}, {results[0]['clips']} clips. {METHOD}"
    return publishing.publish(
        out, "Retrieval across modalities", runs, [main, *each], [section], method
    )
