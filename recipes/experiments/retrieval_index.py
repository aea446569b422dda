"""Files the test clips of each modality under their codes and finds them by the others.

A sound asks for pictures, a picture for words: with FCID trained without labels, or the model of a
finished run, each test clip is a query to an index (`keras_cmg.search.CodeIndex`) of the test clips
of each modality, and a clip found counts if it shows the query's class. Labels are read for
counting alone. A clip's own recordings in other modalities are left out, so that pairs seen
together help nobody.

    python -m recipes retrieval_index                      # synthetic data, no download
    python -m recipes retrieval_index --data digits --root FOLDER
    python -m recipes retrieval_index --run runs/quickstart  # its model, its features

Leaves `report.html`, `table.md` and `result.json` in the output folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import keras_cmg
from recipes.protocol import clips, probing
from recipes.reporting import charts, tables
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance, settings
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

FIRST = 10
"""Clips of an answer that are counted."""
RANKINGS = {
    "codes": "clips of the nearest codes, no feature stored",
    "features": "clips of the nearest codes, ranked by their features",
    "brute force": "all clips, ranked by their features",
}
METHOD = (
    "Every test clip of one modality is a query to the test clips of another; the query's own clip "
    "is left out. P@1 and P@10: share of the clips found first, and of the first ten, that are of "
    "the query's class; R@10: share of the queries with one among the first ten. Per cent."
)


@dataclasses.dataclass
class Settings(Training):
    """Settings of the training whose codes clips are filed under, and of the search."""

    num_codes: int = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, ())
    training.add_arguments(parser)
    parser.add_argument("--num-codes", type=int, help="codes whose clips a query visits")


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    chosen = training.settings_of(Settings(), options, {})
    settings.check_positive(chosen, ("num_codes",))
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs the recipe on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    start = time.perf_counter()
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    made = pretraining.pretrained(options, chosen, source, options.seed)
    backbone = made.backbone
    backbone.require_codebook("an index of codes")
    levels = dict.fromkeys(backbone.modalities, "clip")
    encoded = probing.encode_splits(backbone, source.root, levels, ("test",))["test"]
    classes = probing.clip_classes(source.root, "test")
    codebook = np.asarray(backbone.codebook)
    result = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "encoder": made.about,
        "features": source.identity(),
        "chance": chance(classes),
        "scores": {
            ranking: scores(encoded, classes, codebook, ranking, chosen.num_codes)
            for ranking in RANKINGS
        },
        "clips": len(classes),
        "num_embeddings": len(codebook),
        "total_seconds": round(time.perf_counter() - start, 2),
    }
    provenance.write_json(out / RESULT, result)


def scores(
    encoded: Mapping[str, Mapping[str, np.ndarray]],
    classes: np.ndarray,
    codebook: np.ndarray,
    ranking: str,
    num_codes: int,
) -> dict[str, dict[str, float]]:
    """What each modality finds in each.

    Args:
        encoded: modality to `general` (clips, dim) and `indices` (clips,), as of `encode`.
        classes: (clips,) int.
        codebook: (num_embeddings, dim).
        ranking: a key of `RANKINGS`.
        num_codes: codes whose clips a query visits; brute force visits all.

    Returns:
        `"query->found"` to `P@1`, `P@10` and `R@10`, from 0 to 1.

    Example:

    >>> codes = np.array([0, 0, 1, 1])
    >>> encoded = {"audio": {"general": np.eye(2)[codes], "indices": codes}}
    >>> scores(encoded, codes, np.eye(2), "codes", 1)["audio->audio"]["P@1"]
    1.0
    """
    # In the order of the files, clips of a code could stand class by class.
    order = np.random.default_rng(0).permutation(len(classes))
    found = {}
    for target, filed in encoded.items():
        index = keras_cmg.search.CodeIndex(codebook, "codes" if ranking == "codes" else "float32")
        index.add(order, filed["general"][order], filed["indices"][order])
        for source, queries in encoded.items():
            visited = len(codebook) if ranking == "brute force" else num_codes
            ids = index.search(queries["general"], FIRST + 1, visited)["ids"]
            found[f"{source}->{target}"] = counted(ids, classes)
    return found


def counted(ids: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Shares of clips of the right class; the query's own clip does not count.

    Args:
        ids: (queries, FIRST + 1) clips found for query 0, 1, ..., nearest first; -1 for none.
        classes: (clips,) int.

    Returns:
        `P@1`, `P@10`, `R@10`, from 0 to 1.

    Example:

    >>> counted(np.array([[0, 1] + [-1] * 9, [0, 1] + [-1] * 9]), np.array([5, 5]))["P@1"]
    1.0
    """
    rows = []
    for query, answer in enumerate(ids):
        others = answer[answer != query][:FIRST]
        rows.append((others >= 0) & (classes[others] == classes[query]))
    right = np.stack(rows)
    return {
        "P@1": float(right[:, 0].mean()),
        f"P@{FIRST}": float(right.mean()),
        f"R@{FIRST}": float(right.any(axis=1).mean()),
    }


def chance(classes: np.ndarray) -> float:
    """Share of right clips among any others.

    Args:
        classes: (clips,) int.

    Returns:
        From 0 to 1.

    Example:

    >>> round(chance(np.array([0, 0, 1, 1])), 3)
    0.333
    """
    counts = np.bincount(classes)
    return float((counts * (counts - 1)).sum() / (len(classes) * max(len(classes) - 1, 1)))


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes a table per measure, and a page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results = [run.result for run in runs]
    first = results[0]["scores"]
    note = "; ".join(f"{name}: {text}" for name, text in RANKINGS.items())
    measured = [
        tables.over_seeds(
            f"{measure} (chance of a clip {100 * results[0]['chance']:.1f})",
            "query -> found",
            {
                pair: {
                    ranking: [100 * r["scores"][ranking][pair][measure] for r in results]
                    for ranking in RANKINGS
                }
                for pair in first["codes"]
            },
            note=note,
        )
        for measure in ("P@1", f"P@{FIRST}", f"R@{FIRST}")
    ]
    at_a_glance = measured[1]
    section = pages.section(
        "Precision at a glance", pages.picture(charts.grouped(at_a_glance, "%"), at_a_glance.title)
    )
    title = "Clips of one modality found by another"
    return publishing.publish(out, title, runs, measured, [section], METHOD)
