"""Counts which modalities use which codes (Figures 6 and 7).

Data: VALOR-32K (sound, pictures and words of the same clips) in the published layout, or digits or
synthetic clips. A code is green if every modality has at least 5 % of its use, red if one has more
than 95 %, blue between the two. Leaves `activation.png`, a bar per code in use.

    python -m recipes activation --data valor --root FOLDER --run RUN    # RUN of `pretrain`
    python -m recipes activation --data digits --root FOLDER --seeds 3   # trains its own encoder

A minute or two on one core for digits. Expected: the better a system aligns, the more green codes.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras_cmg
from recipes.protocol import clips, code_use
from recipes.reporting import charts, figures, tables
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

PUBLISHED = ("valor", "vggsound")


@dataclasses.dataclass
class Settings(Training):
    """Settings of the encoder, and of what is counted."""

    split: str = "test"
    level: str = "clip"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, PUBLISHED)
    training.add_arguments(parser)
    parser.add_argument("--split", choices=("train", "val", "test"), help="default: test")
    parser.add_argument(
        "--level", choices=("clip", "segment"), help="a code per clip (default) or per segment"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    return training.settings_of(Settings(), options, {})


def run(options: argparse.Namespace, out: Path) -> None:
    """Counts the codes of one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    made = pretraining.pretrained(options, chosen, source, options.seed)
    made.backbone.require_codebook("Counting codes")
    indices = {
        name: clips.encode(made.backbone, source, chosen.split, name, chosen.level).codes["indices"]
        for name in made.backbone.modalities
    }
    size = made.backbone.quantizer.num_embeddings
    counts = code_use.activations(indices, size)
    picture = figures.code_use_bars(counts, code_use.colours(counts))
    charts.write(out / "activation.png", picture)
    result = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "encoder": made.about,
        "features": source.identity(),
        "num_embeddings": size,
        "modalities": list(indices),
        "codes_used": code_use.summary(indices, size),
        "clips": {name: len(index) for name, index in indices.items()},
    }
    provenance.write_json(out / RESULT, result)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table and the bars.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table, to be printed.
    """
    first = runs[0].result
    columns = {
        "green": "green: every modality",
        "blue": "blue: in between",
        "red": "red: one modality",
        "any": "in use",
        **{name: f"by {name}" for name in first["modalities"]},
    }
    name = keras_cmg.models.get_model_class(first["settings"]["system"]).__name__
    measured = {
        name: {
            heading: [run.result["codes_used"][key] for run in runs]
            for key, heading in columns.items()
        }
    }
    note = (
        f"Of {first['num_embeddings']} codes. Figures 6 and 7 of the paper give pictures and no "
        "numbers."
    )
    table = tables.over_seeds("Codes by who uses them", "system", measured, note=note)
    pictures = [
        pages.picture(run.picture("activation.png"), f"use of each code, seed {run.result['seed']}")
        for run in runs
    ]
    section = pages.section("Use of each code, seed by seed", *pictures)
    level, split = first["settings"]["level"], first["settings"]["split"]
    method = f"One code per {level} and modality of the {split} clips, {first['clips']}."
    return publishing.publish(out, "Who uses which code", runs, [table], [section], method)
