"""Trains FCID without labels, freezes it, and probes its codes across modalities.

The protocol of the paper's Table 1 (Huang et al., 2025) on data that fit a laptop: pre-train on
unlabelled triples of sound, pictures and words; train one linear layer on the codes of one
modality; test it on another. Unlike the paper, clips are held out: the probe's epoch is chosen on
validation clips of the *source* modality, and test labels of the target are read once.

    python -m recipes quickstart                                   # synthetic data, no download
    python -m recipes quickstart --data digits --root FOLDER       # FSDD and MNIST

Leaves `report.html`, `table.md`, `result.json`, `history.json`, `model.keras` with its extractors,
`labels.txt` and card, and for serving a probe of each modality, `probe_audio.keras`, in the output
folder; with `--seeds`, in a folder per seed, and the table and page over seeds beside them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from recipes.protocol import code_sharing, code_use, cross_modal_probes
from recipes.protocol.clips import CLIP_SETS, STORE, clip_labels, num_clips
from recipes.reporting import probe_tables, report_writer, same_code_examples
from recipes.reporting.model_card import write_card
from recipes.reporting.quickstart_page import quickstart_page
from recipes.runner import provenance
from recipes.runner.options import DATA, TRAINING, RecipeOptions
from recipes.runner.seed_runs import Job, Run
from recipes.training import trained_encoders

OPTIONS = RecipeOptions(
    (
        *(name for name in DATA if name not in ("max_clips", "protocol")),
        *(name for name in TRAINING if name != "cache"),
        *("devices", "probe_epochs", "toc_channels"),
    ),
    data=CLIP_SETS,
    defaults={
        "model": "fcid",
        "protocol": "heldout",
        "batch_size": 80,
        "toc_channels": (128, 64),
        "num_clips": {"train": 3000, "val": 500, "test": 1000},
    },
    by_data={
        "synthetic": {"num_clips": {"train": 1500, "val": 300, "test": 500}, "epochs": 8},
    },
    smoke={"num_clips": {"train": 40, "val": 20, "test": 20}, "epochs": 2, "probe_epochs": 3},
)
METHOD = (
    "Accuracy in per cent on test clips. The probe is one linear layer, trained on labelled clips "
    "of one modality; its epoch is the best on validation clips of that modality; the test labels "
    "of the other are read once."
)
data_identity = trained_encoders.data_identity


def run(job: Job, out: Path) -> dict[str, Any]:
    """Runs the recipe on one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    start, settings = time.perf_counter(), job.settings
    # Checked before anything is computed.
    model = trained_encoders.new_model(settings, ("audio", "video", "text"), job.seed)
    cross_modal_probes.check_channels(settings.toc_channels, model.backbone.code_dim)
    clips = trained_encoders.open_clips(job)
    encoder = trained_encoders.train_new(job, clips)
    backbone, codebook = encoder.backbone, code_use.codebook_array(encoder.backbone)
    masks = cross_modal_probes.toc_masks(settings.toc_channels, backbone.code_source())
    kept = {name: mask.channel_indices for name, mask in masks.items()}
    print("probing every modality on every modality", flush=True)
    encoded = cross_modal_probes.EncodedClips(backbone, clips)
    probes = cross_modal_probes.probe_every_pair(encoded, masks, settings.probe_epochs, job.seed)
    indices = code_sharing.codes_of_clips(backbone, clips, "test")
    classes = clip_labels(clips, "test")
    counts = code_sharing.weighted_counts(code_sharing.counts_of(encoded, "test"))
    categories = clips.categories()
    result = {
        "protocol": "heldout",
        "chance": 1 / len(categories),
        "num_clips": num_clips(clips),
        "scores": probes.scores["quantized"],
        "toc": {name: probes.scores[name] for name in masks},
        "continuous": probes.scores["continuous"],
        "probe_validation": probes.validation,
        "probe_epochs_chosen": probes.epochs,
        "shares": code_sharing.shared_codes(encoded, "test")["shares"]["clip"],
        "codes_used": code_use.summary(counts, backbone.modalities),
        "label_agreement": code_use.label_agreement(indices, classes),
        "nearest_shared_label": code_sharing.nearest_shared_label(
            codebook, counts, code_sharing.label_counts(encoded, "test", classes)
        ),
        "num_embeddings": len(codebook),
        "codes_of_a_segment": next(iter(indices.values())).shape[-1],
        "codebook_similarity": code_use.mean_similarities(codebook, kept),
        "loss_terms": encoder.model.loss_names,
        "encoder": encoder.about,
        "config": keras.saving.serialize_keras_object(encoder.model)["config"],
        "features": clips.identity(),
    }
    trained_encoders.save(encoder, clips, out)
    numbers = {
        pair: {"accuracy of a linear probe": score, "chance": result["chance"]}
        for pair, score in result["scores"].items()
    }
    write_card(out, job, clips, encoder, numbers)
    for source, probe in probes.probes["quantized"].items():
        probe.save(out / f"probe_{source}.keras")
    shown: list[dict[str, Any]] = []
    if clips.data != STORE:  # which has no files of its clips
        shown = same_code_examples.same_code(
            clips.root, indices, classes, len(codebook), job.resources.root
        )
    seconds = {"total_seconds": round(time.perf_counter() - start, 2)}
    whole = {**provenance.about(job), **result, **seconds}
    page = quickstart_page(whole, encoder.history, codebook, kept, counts, shown)
    (out / report_writer.PAGE).write_text(page, encoding="utf-8")
    return result


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the table of scores; of several seeds also a page, as each has a fuller one.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The table of scores, to be printed.
    """
    table = probe_tables.table_over_seeds([run.result for run in runs])
    if len(runs) > 1:
        title = "One code space for sound, pictures and words"
        return report_writer.publish(out, title, runs, [table], method=METHOD)
    report_writer.write_tables(out, "Quickstart", runs, [table], METHOD)
    return probe_tables.score_lines(runs[0].result)
