"""Ablations: losses (Table 5), TOC criteria (6), CLUB terms (7 and 11), codebook size (9).

All four tasks of Table 1 in both directions, with the average over the eight columns. Data:
VGGSound-AVEL40K to train on, with AVE, AVVP and UCF-101 below the same folder; or digits or
synthetic clips. Any system with such terms can be ablated; rows that it has not are left out.

    python -m recipes ablation --data vggsound --root FOLDER --preset paper --resume
    python -m recipes ablation --of losses --data digits --root FOLDER --seeds 3 --resume
    python -m recipes ablation --of losses toc club codebook --data digits --root FOLDER --seeds 3

On digits each variant takes 150 seconds of processor time to train; losses have 4 variants, CLUB 8
and codebooks 6, of which the full system counts once. Published averages: 50.7 without CLUB, 54.4
without reconstruction, 55.0 without commitment, 55.9 whole, with TOC.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from keras_cmg.models.base.presets import merged
from recipes.protocol import clips, evaluation
from recipes.protocol.tasks import TASKS
from recipes.reporting import charts, tables
from recipes.reporting import paper_tables as published
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training import variants

TABLES = {
    "losses": (published.LOSS_ABLATION, "toc"),
    "toc": (published.TOC_ABLATION, "toc"),
    "club": (published.CLUB_ABLATION, "codes"),
    "codebook": (published.CODEBOOK_SIZE, "codes"),
}
"""Part to the paper's table, and whether that is with TOC or without."""
PUBLISHED = ("vggsound",)
CRITERIA = ("similarity", "variance", "both")


@dataclasses.dataclass
class Settings(evaluation.Probing):
    """Settings of the trainings and probes, and which parts are ablated."""

    of: tuple[str, ...] = tuple(TABLES)
    codebook_sizes: tuple[int, ...] = (256, 300, 400, 512, 800, 1024)


SMOKE: dict[str, Any] = {"of": ("losses", "toc"), "probe_epochs": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, PUBLISHED)
    training.add_arguments(parser)
    evaluation.add_arguments(parser)
    parser.add_argument("--of", nargs="+", choices=TABLES, help="what to ablate (default: all)")
    parser.add_argument(
        "--codebook-sizes", type=int, nargs="+", metavar="H", help="numbers of codes"
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    defaults = dataclasses.replace(Settings(), **(SMOKE if options.smoke else {}))
    chosen = evaluation.settings_of(options, defaults)
    if chosen.run is not None:
        raise ValueError("--run must be left out: this recipe trains every variant itself")
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Trains and probes every variant with one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    whole = pretraining.create(chosen, options.seed)
    wanted = {
        "losses": variants.losses(whole.loss_names),
        "club": variants.club_terms(whole.loss_names),
        "codebook": variants.codebook_sizes(
            chosen.codebook_sizes, getattr(whole.backbone.quantizer, "num_embeddings", None)
        ),
    }
    measured: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for part in chosen.of:
        parts[part] = {}
        if part == "toc":
            parts[part] = criteria(options, chosen, source)
            continue
        for row, changes in wanted[part].items():
            # The whole system is a row of every part, and is trained once.
            key = json.dumps(changes, sort_keys=True)
            if key not in measured:
                print(f"{part}: {row}", flush=True)
                measured[key] = scores_of(options, chosen, source, changes)
            parts[part][row] = measured[key]
    result = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "features": source.identity(),
        "parts": parts,
    }
    provenance.write_json(out / RESULT, result)


def scores_of(
    options: argparse.Namespace,
    chosen: Settings,
    source: clips.Clips,
    changes: Mapping[str, Any],
    criterion: str | None = None,
) -> dict[str, dict[str, float]]:
    """A variant in all tasks and directions; trained, or found as trained before.

    Args:
        options: of the command line.
        chosen: settings of the whole system.
        source: the clips.
        changes: arguments of the system that make the variant.
        criterion: of TOC; as the protocol has it if None.

    Returns:
        Column of Table 1 to "codes" and, for a system with codes, "toc", a fraction each.
    """
    variant = dataclasses.replace(chosen, model=merged(chosen.model, changes))
    backbone = pretraining.pretrained(options, variant, source, options.seed).backbone
    cache: dict[Any, Any] = {}
    found: dict[str, dict[str, float]] = {}
    for task in TASKS.values():
        masks = evaluation.masks_of(backbone, chosen, task, criterion)
        beside = source if source.prepared else source._replace(data=task.name)
        result = evaluation.evaluate(task, backbone, beside, chosen, options.seed, masks, cache)
        for direction in evaluation.across(result):
            main, views = task.metrics[0], result["scores"][direction]
            found[task.column_of(direction)] = {"codes": views["quantized"][main]}
            if masks:
                best = evaluation.chosen_view(result, direction, list(masks))
                found[task.column_of(direction)]["toc"] = views[best][main]
    return found


def criteria(
    options: argparse.Namespace, chosen: Settings, source: clips.Clips
) -> dict[str, dict[str, dict[str, float]]]:
    """The whole system under every criterion of TOC; none for a system without codes.

    Args:
        options: of the command line.
        chosen: settings.
        source: the clips.

    Returns:
        Row of Table 6 to scores.
    """
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for criterion in CRITERIA:
        print(f"toc: {criterion}", flush=True)
        rows[criterion] = scores_of(options, chosen, source, {}, criterion)
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
    chosen = runs[0].result["settings"]
    name = keras_cmg.models.get_model_class(chosen["system"]).__name__
    found, pictures = [], []
    for part in chosen["of"]:
        paper, kind = TABLES[part]
        rows = runs[0].result["parts"][part]
        if (
            kind == "toc"
            and rows
            and not all("toc" in c for c in next(iter(rows.values())).values())
        ):
            kind = "codes"
        measured = {}
        for row in rows:
            seeds = [variants.columns(run.result["parts"][part][row], kind) for run in runs]
            measured[row] = {column: [seed[column] for seed in seeds] for column in seeds[0]}
        if not measured:
            continue
        table = tables.beside_published(paper, measured, data=chosen["data"])
        found.append(dataclasses.replace(table, title=f"{table.title}; here {name}"))
        averages = {row: {"average": columns["average"]} for row, columns in measured.items()}
        small = tables.over_seeds(paper.title, paper.heading, averages)
        pictures.append(pages.picture(charts.grouped(small, "%"), paper.title))
    section = pages.section("Averages at a glance", *pictures)
    protocol = evaluation.HELDOUT if chosen["protocol"] == "heldout" else evaluation.REFERENCE
    stand_ins = " ".join(task.stand_in_note for task in TASKS.values() if task.stand_in_note)
    method = f"Every variant is trained anew from the same seed. {protocol} {stand_ins}"
    return publishing.publish(out, "Ablations", runs, found, [section], method)
