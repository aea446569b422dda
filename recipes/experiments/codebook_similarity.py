"""Draws the similarity of codes, in all dimensions and in those that TOC keeps (Figure 8).

Data: the codebook of a finished run, or of a training done now; no clips are read after training.
Leaves `similarity_*.png`, a matrix of cosines each, and their means over pairs of different codes.

    python -m recipes codebook_similarity --run RUN --data vggsound --root FOLDER
    python -m recipes codebook_similarity --data digits --root FOLDER --seeds 3

A minute or two on one core for digits. Expected: the mean falls as TOC keeps fewer dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.protocol import code_use
from recipes.protocol.clips import CLIP_SETS, PUBLISHED
from recipes.protocol.cross_modal_probes import toc_masks
from recipes.reporting import code_use_tables, codebook_sections, report_writer
from recipes.reporting.page import Gallery, Section
from recipes.runner.options import DATA, ENCODER, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    ("toc_channels", *DATA, *ENCODER),
    data=(*PUBLISHED, *CLIP_SETS),
    smoke={"toc_channels": (128,)},
)
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Draws the codebook of one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.encoder_of(job, clips)
    encoder.backbone.require_codebook("Figure 8")
    codebook = code_use.codebook_array(encoder.backbone)
    masks = toc_masks(job.settings.toc_channels, encoder.backbone.code_source())
    kept = {name: mask.channel_indices for name, mask in masks.items()}
    for name, picture in codebook_sections.similarity_pictures(codebook, kept).items():
        (out / f"similarity_{name}.png").write_bytes(picture)
    return {
        "protocol": job.settings.protocol,
        "encoder": encoder.about,
        "features": clips.identity(),
        "similarity": code_use.mean_similarities(codebook, kept),
        "spread": code_use.mean_similarities(codebook, kept, sizes=True),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table and the matrices.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table, to be printed.
    """
    first = runs[0]
    table = code_use_tables.similarity_table([run.result for run in runs])
    pictures = {
        f"{codebook_sections.dimensions(name)}, seed {first.result['seed']}": first.picture(
            f"similarity_{name}.png"
        )
        for name in first.result["similarity"]
    }
    section = Section("Cosine of every two codes", [Gallery(pictures)])
    title = "Similarity of codes, before and after TOC"
    method = "Cosine similarity of every two codes of the trained codebook."
    return report_writer.publish(out, title, runs, [table], [section], method)
