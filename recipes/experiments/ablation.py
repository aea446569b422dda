"""Ablations: losses (Table 5), TOC criteria (6), CLUB terms (7 and 11), codebook size (9).

All four tasks of Table 1 in both directions, with the average over the eight columns. Data:
VGGSound-AVEL40K to train on, with AVE, AVVP and UCF-101 below the same folder; or digits or
synthetic clips. Any model with such terms can be ablated; rows that it does not have are left out.

    python -m recipes ablation --data vggsound --root FOLDER --preset paper --resume
    python -m recipes ablation --of losses --data digits --root FOLDER --seeds 3 --resume
    python -m recipes ablation --of losses toc club codebook --data digits --root FOLDER --seeds 3

On digits each variant takes 150 seconds of processor time to train; losses have 4 variants, CLUB 8
and codebooks 6, of which the full model counts once. Published averages: 50.7 without CLUB, 54.4
without reconstruction, 55.0 without commitment, 55.9 in full, with TOC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from keras_cmg.models.base.presets import merged
from recipes.protocol import table1_protocol
from recipes.protocol.clips import CLIP_SETS, Clips, modalities_of
from recipes.protocol.tasks import TASKS
from recipes.reporting import ablation_tables, report_writer
from recipes.runner.options import DATA, ENCODER, PROBES, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import ablation_variants, trained_encoders

OPTIONS = RecipeOptions(
    (
        "of",
        "codebook_sizes",
        "directions",
        *DATA,
        *(name for name in ENCODER if name != "run"),
        *PROBES,
    ),
    data=("vggsound", *CLIP_SETS),
    smoke={"of": ("losses", "toc"), "probe_epochs": 1, "toc_channels": (128,)},
)
CRITERIA = ("similarity", "variance", "both")
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks that data and directions agree.

    Args:
        settings: resolved settings.

    Returns:
        The same settings.

    Raises:
        ValueError: if the data have not the modalities.
    """
    table1_protocol.check_directions(settings.directions, modalities_of(settings.data))
    return settings


def run(job: Job, out: Path) -> dict[str, Any]:
    """Trains and probes every variant with one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    full = trained_encoders.new_model(settings, clips.modalities(), job.seed)
    wanted = {
        "losses": ablation_variants.losses(full.loss_names),
        "club": ablation_variants.club_terms(full.loss_names),
        "codebook": ablation_variants.codebook_sizes(
            settings.codebook_sizes, getattr(full.backbone.quantizer, "num_embeddings", None)
        ),
    }
    measured: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for part in settings.of:
        parts[part] = {}
        if part == "toc":
            parts[part] = criteria(job, clips)
            continue
        for row, arguments in wanted[part].items():
            # The full model is a row of every part, and is trained once.
            key = json.dumps(arguments, sort_keys=True)
            if key not in measured:
                print(f"{part}: {row}", flush=True)
                measured[key] = scores_of(job, clips, arguments)
            parts[part][row] = measured[key]
    return {"protocol": settings.protocol, "features": clips.identity(), "parts": parts}


def scores_of(
    job: Job, clips: Clips, arguments: Mapping[str, Any], criterion: str | None = None
) -> dict[str, dict[str, float]]:
    """Measures a variant in all tasks and directions.

    Args:
        job: a seed of the recipe, of the full model.
        clips: clips to train on; probes read data beside them where those are published.
        arguments: arguments of the model that make the variant.
        criterion: criterion of TOC; that of the protocol if None.

    Returns:
        Column of Table 1 to "codes" and, for a model with codes, "toc", a fraction each.
    """
    settings = job.settings
    variant = job._replace(settings=settings.replace(set=merged(settings.set, arguments)))
    backbone = trained_encoders.encoder_of(variant, clips).backbone
    cache: dict[Any, Any] = {}
    found: dict[str, dict[str, float]] = {}
    for task in TASKS.values():
        masks = table1_protocol.protocol_masks(
            backbone, task, settings.protocol, settings.toc_channels, criterion
        )
        probed = clips if clips.prepared else clips._replace(data=task.name)
        result = table1_protocol.evaluate(
            task,
            backbone,
            probed,
            masks,
            settings.directions,
            settings.probe_epochs,
            job.seed,
            cache,
        )
        for direction in table1_protocol.across(result):
            main, views = task.metrics[0], result["scores"][direction]
            cells = found[task.column_of(direction)] = {"codes": views["quantized"][main]}
            if masks:
                best = table1_protocol.chosen_view(result, direction, list(masks))
                cells["toc"] = views[best][main]
    return found


def criteria(job: Job, clips: Clips) -> dict[str, dict[str, dict[str, float]]]:
    """Measures the full model with every criterion of TOC.

    Args:
        job: a seed of the recipe.
        clips: clips to train on.

    Returns:
        Row of Table 6 to scores; nothing for a model without codes.
    """
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for criterion in CRITERIA:
        print(f"toc: {criterion}", flush=True)
        rows[criterion] = scores_of(job, clips, {}, criterion)
    if "toc" not in next(iter(rows["both"].values())):
        return {}
    neither = {column: {"toc": each["codes"]} for column, each in rows["both"].items()}
    return {"neither": neither, **rows}


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    settings = runs[0].result["settings"]
    name = keras_cmg.models.get_model_class(settings["model"]).__name__
    tables, sections = ablation_tables.all_tables(
        [run.result for run in runs], settings["of"], name, settings["data"]
    )
    method = ablation_tables.method(settings["protocol"])
    return report_writer.publish(out, "Ablations", runs, tables, sections, method)
