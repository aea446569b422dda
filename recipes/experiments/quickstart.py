"""Trains FCID without labels, freezes it, and asks what its codes know across modalities.

The protocol of the paper's Table 1 (Huang et al., 2025) on data that fit a laptop: pre-train on
unlabelled triples of sound, pictures and words; train one linear layer on the codes of one
modality; test it on another. Unlike the paper, clips are held out: the probe's epoch is chosen on
validation clips of the *source* modality, and test labels of the target are read once.

    python -m recipes quickstart                                   # synthetic data, no download
    python -m recipes quickstart --data digits --root FOLDER       # FSDD and MNIST

Leaves `report.html`, `table.md`, `result.json`, `history.json`, `model.keras`, and for serving a
probe of each modality, `probe_audio.keras`, and `labels.txt`, in the output folder; with `--seeds`,
in a folder per seed, and the table and page over seeds beside them.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import data_tools
import keras_cmg
from keras_cmg.models.fcid import presets
from recipes.protocol import code_use, probing
from recipes.reporting import examples, quickstart_page, scores
from recipes.reporting import report_writer as publishing
from recipes.runner import assignments, provenance, settings
from recipes.runner.output import RESULT
from recipes.runner.progress import EpochLine
from recipes.runner.seeds import Run
from recipes.training import data_parallel as spread

MODALITIES = ("audio", "video", "text")
PROBE_LEVELS = {"audio": "segment", "video": "segment", "text": "clip"}
METHOD = (
    "Accuracy in per cent on test clips. The probe is one linear layer, trained on labelled clips "
    "of one modality; its epoch is the one best on validation clips of that modality; the test "
    "labels of the other are read once."
)
CLIP_LEVELS = dict.fromkeys(MODALITIES, "clip")


@dataclasses.dataclass
class Settings:
    """What a run is made of; every field but `num_clips` and `model` is an option."""

    data: str
    num_clips: dict[str, int]
    split: str | None = None
    preset: str = keras_cmg.models.FCID.default_preset
    epochs: int = 10
    batch_size: int = 80
    learning_rate: float = 4e-4
    probe_epochs: int = 25
    toc_channels: tuple[int, ...] = (128, 64)
    model: dict[str, Any] = dataclasses.field(default_factory=dict)


DEFAULTS = {
    "synthetic": Settings("synthetic", {"train": 1500, "val": 300, "test": 500}, epochs=8),
    "digits": Settings("digits", {"train": 3000, "val": 500, "test": 1000}),
}
SMOKE: dict[str, Any] = {
    "num_clips": {"train": 40, "val": 20, "test": 20},
    "epochs": 2,
    "batch_size": 10,
    "probe_epochs": 3,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    parser.add_argument("--data", choices=sorted(DEFAULTS), default="synthetic", help="data set")
    parser.add_argument("--root", help="folder of the raw files (default: download where needed)")
    parser.add_argument("--features", help="folder of prepared features (default: OUT/features)")
    parser.add_argument("--split", help="way of splitting (digits: official or speaker)")
    parser.add_argument("--preset", help="of FCID: small, plus, paper, paper_small or reference")
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help="argument of FCID, dots for nesting: --set backbone.map_general.pooling=sum",
    )
    parser.add_argument("--epochs", type=int, help="of training without labels")
    parser.add_argument("--batch-size", type=int, help="clips per step")
    parser.add_argument("--learning-rate", type=float, help="of the main Adam")
    parser.add_argument("--probe-epochs", type=int, help="of training a probe")
    parser.add_argument(
        "--toc-channels", type=int, nargs="+", metavar="Q", help="dimensions that TOC keeps"
    )
    spread.add_argument(parser)


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the data set, of `--smoke`, and of the options given, the last one counting."""
    chosen = settings.resolve(DEFAULTS[options.data], options, SMOKE)
    settings.check_positive(chosen, ("epochs", "batch_size", "learning_rate", "probe_epochs"))
    presets.preset(chosen.preset)
    changed = presets.merged(chosen.model, assignments.nested(options.set or []))
    return dataclasses.replace(chosen, model=changed)


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs the recipe on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    start = time.perf_counter()
    chosen = settings_of(options)
    devices = spread.devices_of(options, chosen.batch_size)
    # Looked at before anything is computed.
    masks = probing.toc_masks(
        chosen.toc_channels, new_model(chosen, options.seed).backbone.embedding_dim
    )
    features = prepare(options, chosen)
    folder = data_tools.FeatureFolder(features)
    model, history, train_seconds = spread.trained(
        "quickstart", chosen, features, options.seed, devices
    )
    backbone = model.backbone
    codebook = np.asarray(backbone.codebook)
    for mask in masks.values():
        mask.adapt(codebook)
    print("probing every modality on every modality", flush=True)
    classes = {split: probing.clip_classes(features, split) for split in chosen.num_clips}
    encoded = probing.encode_splits(backbone, features, PROBE_LEVELS)
    codes = {split: probing.code_views(parts, masks) for split, parts in encoded.items()}
    probes = probing.cross_modal_probes(
        codes, classes, len(folder.categories), chosen.probe_epochs, seed=options.seed
    )
    clip_codes = probing.encode_splits(backbone, features, CLIP_LEVELS, ("test",))["test"]
    indices = {modality: code["indices"] for modality, code in clip_codes.items()}
    shown = examples.same_code(features, indices, classes["test"], len(codebook), options.root)
    kept = {name: mask.channel_indices for name, mask in masks.items()}
    result = {
        **provenance.about(options, chosen),
        "protocol": "heldout",
        "chance": 1 / len(folder.categories),
        "scores": probes.scores["quantized"],
        "toc": {name: probes.scores[name] for name in masks},
        "continuous": probes.scores["continuous"],
        "probe_validation": probes.validation,
        "probe_epochs_chosen": probes.epochs,
        "codes_used": code_use.summary(indices, len(codebook)),
        "num_embeddings": len(codebook),
        "codebook_similarity": code_use.mean_similarities(codebook, kept),
        "loss_terms": model.loss_names,
        "epochs": chosen.epochs,
        "devices": devices,
        "train_seconds": round(train_seconds, 2),
        "total_seconds": round(time.perf_counter() - start, 2),
        "parameters": {"model": model.count_params(), "backbone": backbone.count_params()},
        "model": keras.saving.serialize_keras_object(model)["config"],
        "features": {
            key: folder.manifest[key] for key in ("arguments", "options", "sources", "files")
        },
    }
    page = quickstart_page.page(result, history, codebook, kept, indices, shown)
    (out / publishing.PAGE).write_text(page, encoding="utf-8")
    model.save(out / "model.keras")
    for source, probe in probes.probes["quantized"].items():
        probe.save(out / f"probe_{source}.keras")
    (out / "labels.txt").write_text("\n".join(folder.categories) + "\n", encoding="utf-8")
    provenance.write_json(out / "history.json", history)
    provenance.write_json(out / RESULT, result)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table of scores; of several seeds also a page, as each has a fuller one.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table of scores, to be printed.
    """
    table = scores.table([run.result for run in runs])
    if len(runs) > 1:
        title = "One code space for sound, pictures and words"
        return publishing.publish(out, title, runs, [table], method=METHOD)
    publishing.write_tables(out, "Quickstart", runs, [table], METHOD)
    return scores.score_lines(runs[0].result)


def prepare(options: argparse.Namespace, chosen: Settings) -> Path:
    """The folder of features, prepared now or found as it was left."""
    folder = options.features or Path(options.out) / "features"
    try:
        return data_tools.prepare(
            options.data,
            folder,
            options.root,
            num_clips=chosen.num_clips,
            split=chosen.split,
            progress=True,
        )
    except ValueError as error:
        raise ValueError(f"features in {folder}: {error}") from error


def new_model(chosen: Settings, seed: int) -> keras_cmg.models.FCID:
    """The model before training."""
    provenance.set_seed(seed)
    return keras_cmg.models.FCID.from_preset(
        chosen.preset, modalities=MODALITIES, seed=seed, **chosen.model
    )


def train(chosen: Settings, features: Path, seed: int) -> spread.Trained:
    """Trains without labels; gives the model, the logs of every epoch, and the seconds it took."""
    model = new_model(chosen, seed)
    clips = data_tools.load(features, "train", MODALITIES, chosen.batch_size, seed=seed)
    # Whole batches only: contrastive losses of a smaller one are not comparable.
    val = data_tools.load(features, "val", MODALITIES, chosen.batch_size, drop_remainder=True)
    model.compile(
        keras.optimizers.Adam(chosen.learning_rate, global_clipnorm=1.0),
        keras.optimizers.Adam(1e-3),
    )
    start = time.perf_counter()
    history = model.fit(
        clips,
        validation_data=val,
        epochs=chosen.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[EpochLine(("loss", "val_loss", "val_perplexity", "val_code_agreement"))],
    )
    return model, history.history, time.perf_counter() - start
