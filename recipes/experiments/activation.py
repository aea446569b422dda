"""Counts which modalities use which codes (Figures 6 and 7).

Data: VALOR-32K (sound, pictures and words of the same clips) in the published layout, or digits or
synthetic clips. A code is green if every modality has at least 5 % of its use, red if one has more
than 95 %, blue in between. Leaves `activation.png`, a bar per code in use.

    python -m recipes activation --data valor --root FOLDER --run RUN    # RUN of `pretrain`
    python -m recipes activation --data digits --root FOLDER --seeds 3   # trains its own encoder

A minute or two on one core for digits. Expected: the better a model aligns, the more green codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol import code_sharing, code_use
from recipes.protocol.clips import CLIP_SETS
from recipes.reporting import charts, code_use_tables, report_writer
from recipes.reporting.page import Picture, Section
from recipes.runner.options import DATA, ENCODER, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    ("subset", "level", *DATA, *ENCODER), data=("valor", "vggsound", *CLIP_SETS)
)
PICTURE = "activation.png"
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Counts the codes of one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.encoder_of(job, clips)
    backbone = encoder.backbone
    backbone.require_codebook("Counting codes")
    indices = code_sharing.codes_of_clips(backbone, clips, settings.subset, settings.level)
    size = len(code_use.codebook_array(backbone))
    counts = code_use.activations(indices, size)
    (out / PICTURE).write_bytes(
        charts.code_use_bars(counts, code_use.kinds(counts), settings.level + "s")
    )
    return {
        "protocol": settings.protocol,
        "encoder": encoder.about,
        "features": clips.identity(),
        "num_embeddings": size,
        "modalities": list(indices),
        "codes_used": code_use.summary(counts, backbone.modalities),
        "clips": {name: len(index) for name, index in indices.items()},
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table and the bars.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table, to be printed.
    """
    first = runs[0].result
    settings = first["settings"]
    name = keras_cmg.models.get_model_class(settings["model"]).__name__
    table = code_use_tables.use_table([run.result for run in runs], name)
    pictures = [
        Picture(run.picture(PICTURE), f"use of each code, seed {run.result['seed']}")
        for run in runs
    ]
    section = Section("Use of each code, seed by seed", pictures)
    method = (
        f"One code per {settings['level']} and modality of the {settings['subset']} clips, "
        f"{first['clips']}."
    )
    return report_writer.publish(out, "Use of codes by modality", runs, [table], [section], method)
