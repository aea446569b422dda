"""Files the test clips of each modality under their codes and finds them by the others.

A sound asks for pictures, a picture for words: with FCID trained without labels, or the model of a
finished run, each test clip is a query to an index (`keras_cmg.CodeIndex`) of the test clips of
each modality, and a clip found counts if it shows the query's class. Labels are read for counting
alone. A clip's own recordings in other modalities are left out, so that pairs seen together help
nobody.

    python -m recipes search                                        # synthetic data, no download
    python -m recipes search --data digits --root FOLDER
    python -m recipes search --run runs/quickstart                  # its model, its features

Leaves `report.html`, `table.md` and `result.json` in the output folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import data_tools
import keras_cmg
from keras_cmg.export.runs import load_run
from recipes import probing, provenance, publishing, quickstart, settings, tables
from recipes.output import RESULT
from recipes.seeds import Run

MODALITIES = quickstart.MODALITIES
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
class Settings:
    """What a run is made of; every field but `num_clips` is an option."""

    data: str
    num_clips: dict[str, int]
    run: str | None = None
    split: str | None = None
    preset: str = "small"
    epochs: int = 10
    batch_size: int = 80
    learning_rate: float = 4e-4
    num_codes: int = 8


DEFAULTS = {
    name: Settings(name, one.num_clips, epochs=one.epochs)
    for name, one in quickstart.DEFAULTS.items()
}
SMOKE = {key: quickstart.SMOKE[key] for key in ("num_clips", "epochs", "batch_size")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    parser.add_argument("--data", choices=sorted(DEFAULTS), default="synthetic", help="data set")
    parser.add_argument("--root", help="folder of the raw files (default: download where needed)")
    parser.add_argument("--features", help="folder of prepared features (default: OUT/features)")
    parser.add_argument("--run", help="folder of a finished run, whose model is taken")
    parser.add_argument("--split", help="way of splitting (digits: official or speaker)")
    parser.add_argument("--preset", help="of FCID: small, paper or reference")
    parser.add_argument("--epochs", type=int, help="of training without labels")
    parser.add_argument("--batch-size", type=int, help="clips per step")
    parser.add_argument("--learning-rate", type=float, help="of the main Adam")
    parser.add_argument("--num-codes", type=int, help="codes whose clips a query visits")


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the data set, of `--smoke`, and of the options given, the last one counting."""
    chosen = settings.resolve(DEFAULTS[options.data], options, SMOKE)
    settings.check_positive(chosen, ("epochs", "batch_size", "learning_rate", "num_codes"))
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs the recipe on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    start = time.perf_counter()
    chosen = settings_of(options)
    provenance.set_seed(options.seed)
    backbone, features = trained(options, chosen)
    if backbone.codebook is None:
        raise ValueError("--run must hold a system with a codebook; its features are continuous")
    levels = dict.fromkeys(backbone.modalities, "clip")
    clips = probing.encode_splits(backbone, features, levels, ("test",))["test"]
    classes = probing.clip_classes(features, "test")
    result = {
        **provenance.about(options, chosen),
        "chance": chance(classes),
        "scores": {
            ranking: scores(clips, classes, backbone.codebook, ranking, chosen.num_codes)
            for ranking in RANKINGS
        },
        "clips": len(classes),
        "num_embeddings": len(backbone.codebook),
        "total_seconds": round(time.perf_counter() - start, 2),
        "features": data_tools.FeatureFolder(features).manifest["files"],
    }
    provenance.write_json(out / RESULT, result)


def trained(options: argparse.Namespace, chosen: Settings) -> tuple[Any, Path]:
    """The backbone of a run, or one trained now, and the folder of features."""
    if options.run is None:
        model = keras_cmg.FCID.from_preset(chosen.preset, MODALITIES, seed=options.seed)
        features = quickstart.prepare(options, chosen)
        quickstart.pretrain(model, features, chosen, options.seed)
        return model.backbone, features
    model, _ = load_run(options.run)
    own = Path(options.run) / "features"
    if options.features is None and own.is_dir():
        return model.backbone, own
    return model.backbone, quickstart.prepare(options, chosen)


def scores(
    clips: Mapping[str, Mapping[str, np.ndarray]],
    classes: np.ndarray,
    codebook: np.ndarray,
    ranking: str,
    num_codes: int,
) -> dict[str, dict[str, float]]:
    """What each modality finds in each.

    Args:
        clips: modality to `general` (clips, dim) and `indices` (clips,), as of `encode`.
        classes: (clips,) int.
        codebook: (num_embeddings, dim).
        ranking: a key of `RANKINGS`.
        num_codes: codes whose clips a query visits; brute force visits all.

    Returns:
        `"query->found"` to `P@1`, `P@10` and `R@10`, from 0 to 1.

    Example:

    >>> codes = np.array([0, 0, 1, 1])
    >>> clips = {"audio": {"general": np.eye(2)[codes], "indices": codes}}
    >>> scores(clips, codes, np.eye(2), "codes", 1)["audio->audio"]["P@1"]
    1.0
    """
    # In the order of the files, clips of a code could stand class by class.
    order = np.random.default_rng(0).permutation(len(classes))
    found = {}
    for target, filed in clips.items():
        index = keras_cmg.CodeIndex(codebook, "codes" if ranking == "codes" else "float32")
        index.add(order, filed["general"][order], filed["indices"][order])
        for source, queries in clips.items():
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
    title = "Clips of one modality found by another"
    return publishing.publish(out, title, runs, measured, method=METHOD)
