"""Draws how alike codes are, with all dimensions and with those that TOC keeps (Figure 8).

Data: the codebook of a finished run, or of a training done now; no clips are read after training.
Leaves `similarity_*.png`, a matrix of cosines each, and their means over pairs of different codes.

    python -m recipes codebook_similarity --run RUN --data vggsound --root FOLDER
    python -m recipes codebook_similarity --data digits --root FOLDER --seeds 3

A minute or two on one core for digits. Expected: the mean falls as TOC keeps fewer dimensions.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recipes.protocol import clips, code_use
from recipes.protocol.probing import toc_masks
from recipes.reporting import charts, figures, tables
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

ALL = "all"


@dataclasses.dataclass
class Settings(Training):
    """Settings of the training whose codebook is drawn, and of TOC."""

    toc_channels: tuple[int, ...] = (192, 128, 64)


SMOKE = {"toc_channels": (128,)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, training.PUBLISHED)
    training.add_arguments(parser)
    parser.add_argument(
        "--toc-channels", type=int, nargs="+", metavar="Q", help="dimensions that TOC keeps"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    return training.settings_of(Settings(), options, SMOKE)


def run(options: argparse.Namespace, out: Path) -> None:
    """Draws the codebook of one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    made = pretraining.pretrained(options, chosen, source, options.seed)
    made.backbone.require_codebook("Figure 8")
    codebook = np.asarray(made.backbone.codebook)
    kept = {ALL: np.arange(codebook.shape[1])}
    for name, mask in toc_masks(chosen.toc_channels, codebook.shape[1]).items():
        mask.adapt(codebook)
        kept[name] = mask.channel_indices
    maps = {
        name: code_use.cosine_similarity(codebook[:, channels]) for name, channels in kept.items()
    }
    lowest = min(0.0, *(float(similarity.min()) for similarity in maps.values()))
    for name, similarity in maps.items():
        picture = figures.similarity_map(heading(name), similarity, lowest)
        charts.write(out / f"similarity_{name}.png", picture)
    result = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "encoder": made.about,
        "features": source.identity(),
        "similarity": {
            name: code_use.mean_off_diagonal(similarity) for name, similarity in maps.items()
        },
        "spread": {
            name: code_use.mean_off_diagonal(np.abs(similarity))
            for name, similarity in maps.items()
        },
    }
    provenance.write_json(out / RESULT, result)


def heading(name: str) -> str:
    """What a picture shows.

    Args:
        name: "all", or how many dimensions TOC keeps.

    Returns:
        Plain text.

    Example:

    >>> heading("64")
    'TOC keeps 64'
    """
    return "all dimensions" if name == ALL else f"TOC keeps {name}"


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table and the matrices.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table, to be printed.
    """
    columns = {"mean cosine": "similarity", "mean size of the cosine": "spread"}
    measured = {
        heading(name): {
            column: [run.result[kind][name] for run in runs] for column, kind in columns.items()
        }
        for name in runs[0].result["similarity"]
    }
    note = "Over pairs of different codes; Figure 8 of the paper gives pictures and no numbers."
    table = tables.over_seeds("Similarity of codes", "dimensions", measured, digits=3, note=note)
    pictures = {
        f"{heading(name)}, seed {runs[0].result['seed']}": runs[0].picture(f"similarity_{name}.png")
        for name in runs[0].result["similarity"]
    }
    section = pages.section("Cosine of each two codes", pages.gallery(pictures))
    title = "Alike codes, before and after TOC"
    method = "Cosine similarity of each two codes of the trained codebook."
    return publishing.publish(out, title, runs, [table], [section], method)
