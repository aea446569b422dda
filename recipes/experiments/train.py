"""Trains on a folder of one's own clips, measures what was learned, and indexes the clips.

Features come from pretrained networks where their files are there (`--networks`), else from
extractors without any. Training stops when validation clips show no progress, keeps its best epoch,
and goes on where it was stopped when the same command runs again.

    keras-cmg train --clips FOLDER
    keras-cmg train --clips FOLDER --networks NETWORKS --out runs/clips

FOLDER holds `sounds/CLASS/*`, `pictures/CLASS/*` and `captions/CLASS.txt`, or a table `files.csv`
of `file,class,group`; or clips whose files have one name, such as `a.mp4`, or `b.wav` and `b.png`;
or it is a CSV manifest. Without --clips it trains on prepared features, such as --data digits.

Leaves `model.keras`, `extractors.json`, `labels.txt`, `index/`, `README.md`, `card.json`,
`refused.json`, `report.html`, `table.md` and `result.json` in the output folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import keras_cmg
from data_tools.io.files import is_installed, missing
from recipes.own_clips import indexing, preparation
from recipes.own_clips.precision import precision
from recipes.protocol import code_use
from recipes.protocol.clips import CLIP_SETS, STORE, Clips
from recipes.protocol.code_sharing import weighted_counts
from recipes.reporting import own_clips_report
from recipes.reporting.model_card import write_card
from recipes.runner.options import DATA, RecipeOptions
from recipes.runner.provenance import write_json
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import trained_encoders
from recipes.training.resumable_training import train_with_early_stopping

OPTIONS = RecipeOptions(
    (
        *("clips", "networks", "extractors"),
        *(name for name in DATA if name not in ("max_clips", "protocol")),
        *("model", "preset", "set", "epochs", "patience", "batch_size", "learning_rate"),
        *("schedule", "workers", "licence"),
    ),
    data=CLIP_SETS,
    defaults={
        "protocol": "heldout",
        "epochs": 8,
        "batch_size": 32,
        "num_clips": {"train": 600, "val": 200, "test": 200},
        "max_clips": None,
        "model": "fcid",
    },
    smoke={"num_clips": {"train": 40, "val": 20, "test": 20}, "epochs": 2, "batch_size": 8},
    excludes={"clips": ("data", "root", "features", "split", "option")},
    requires={"networks": "clips", "extractors": "clips"},
)
CARD_LIMITS = (
    "Clips of one class were paired with each other, so that training knew the classes of the "
    "folder.",
)


def check(settings: Settings) -> Settings:
    """Checks that the index can be written, and finds the layout of the clips.

    Args:
        settings: resolved settings.

    Returns:
        Settings whose `data` is that of the folder.

    Raises:
        FileNotFoundError: if there is no folder of clips.
        ImportError: if faiss is not installed.
    """
    if not is_installed("faiss"):
        raise missing("faiss", "The index needs")
    if settings.clips is None:
        return settings
    return settings.replace(data=preparation.layout_of(settings.clips))


def run(job: Job, out: Path) -> dict[str, Any]:
    """Extracts, trains, measures and indexes.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings, resources = job.settings, job.resources
    if settings.clips is None:
        clips = trained_encoders.open_clips(job)
        prepared = preparation.of_features(clips)
    else:
        prepared = preparation.prepare_clips(
            settings.clips,
            Path(resources.out) / "features",
            job.cache,
            resources.networks,
            settings.extractors,
            settings.num_clips,
            job.seed,
            resources.workers,
            settings.protocol,
        )
        clips = prepared.clips
        used = ", ".join(
            f"{one['name']} of {name}" for name, one in prepared.chosen.extractors.items()
        )
        print(f"features: {used}; {len(prepared.refused)} files refused", flush=True)
        for one in prepared.refused:
            print(f"  {one['file']}: {one['reason']}", flush=True)
    settings = settings.replace(batch_size=_batch_size(settings.batch_size, clips))
    encoder = train_with_early_stopping(settings, clips, job.seed, job.cache)
    trained_encoders.save(encoder, clips, out, prepared.chosen.paths)
    loaded = keras_cmg.CrossModalEncoder(encoder.backbone, clips.categories(), run=out)
    index = indexing.index_of_entries(loaded, prepared.entries)
    index.save(out / "index")
    measured = precision(loaded, index, prepared.entries)
    write_json(out / "refused.json", prepared.refused)
    limits = CARD_LIMITS if settings.data != STORE else ()
    write_card(out, job, clips, encoder, measured, limits, settings.licence)
    return {
        "protocol": settings.protocol,
        "encoder": encoder.about,
        "loss_terms": encoder.model.loss_names,
        "extractors": {name: one["name"] for name, one in prepared.chosen.extractors.items()},
        "refused": len(prepared.refused),
        "indexed": {name: len(index.clips(name)) for name in index.modalities},
        "shared_codes": shared_codes(index),
        "precision": measured,
        "features": clips.identity(),
    }


def shared_codes(index: keras_cmg.search.ClipIndex) -> dict[str, float]:
    """Counts the codes by the modalities that use them, and the clips on codes of every modality.

    Args:
        index: index of clips.

    Returns:
        Counts of codes, see `recipes.protocol.code_use.summary`, and `clips`, the share of clips
        with a code that every modality uses; every modality weighs alike.
    """
    codes = {
        name: np.array([clip.codes for clip in index.clips(name)]).ravel()
        for name in index.modalities
    }
    number = 1 + max(int(each.max()) for each in codes.values())
    counts = weighted_counts(
        {name: np.bincount(each, minlength=number) for name, each in codes.items()}
    )
    shared = code_use.kinds(counts) == "shared"
    return {
        **code_use.summary(counts, tuple(codes)),
        "clips": float(counts[shared].sum() / counts.sum()),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    return own_clips_report.publish(runs, out)


def _batch_size(wanted: int, clips: Clips) -> int:
    """At most half of the training clips, so that an epoch has two steps at least."""
    names = clips.modalities()
    count = len(clips.select("train", names).examples)
    return max(2, min(wanted, count // 2))
