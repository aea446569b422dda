"""The page that the quickstart leaves: what came out, what it looks like, how it was measured."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.reporting import report, scores, sections


def page(
    result: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
    codebook: np.ndarray,
    kept: Mapping[str, np.ndarray],
    indices: Mapping[str, np.ndarray],
    examples: Sequence[Mapping[str, Any]],
) -> str:
    """The report of a quickstart.

    Args:
        result: what `result.json` holds.
        history: log key to a value per epoch of training.
        codebook: (codes, dim) float.
        kept: name to the channels that TOC keeps.
        indices: modality to (clips,) int codes of the test clips.
        examples: of `recipes.reporting.examples.same_code`.

    Returns:
        HTML.
    """
    versions = result["versions"]
    losses = sections.loss_parts(history, result["loss_terms"])
    similarities = sections.similarity_parts(codebook, kept)
    use = sections.use_parts(indices, result["num_embeddings"])
    subtitle = (
        f"FCID on {result['settings']['data']} clips, seed {result['seed']}, {versions['engine']} "
        f"{versions['engine_version']}, Keras {versions['keras']}, keras_cmg "
        f"{versions['keras_cmg']}"
    )
    return report.page(
        "One code space for sound, pictures and words",
        subtitle,
        report.facts(
            {
                "mean accuracy across modalities": report.per_cent(
                    scores.mean_across(result["scores"])
                ),
                "chance": report.per_cent(result["chance"]),
                f"of {result['num_embeddings']} codes used by every modality": str(
                    result["codes_used"]["shared"]
                ),
                f"training without labels, {result['epochs']} epochs": report.duration(
                    result["train_seconds"]
                ),
            }
        ),
        report.section(
            "A probe learns on one modality and is tested on another",
            f'<div class="scroll">{scores.score_table(result)}</div>',
            '<p class="soft">Accuracy in per cent on test clips. “codes”: the probe sees '
            "quantised codes; “TOC”: only that many of their "
            f"{codebook.shape[1]} dimensions; “continuous”: the features before "
            "quantisation.</p>",
        ),
        report.section("Different senses, same code", *example_parts(examples)),
        report.section("Training without labels", *losses),
        report.section("Alike codes, before and after TOC", *similarities),
        report.section("Who uses which code", *use),
        report.section("What was measured, and how", *method_parts(result)),
    )


def example_parts(examples: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the section of examples holds."""
    if not examples:
        return ["<p>No code is used by test clips of more than one modality.</p>"]
    return [
        "<p>Each row shows test clips that fall on one code, in different modalities and from "
        "different clips. Labels took no part in training the codes.</p>",
        report.example_cards(examples),
        '<p class="soft">Not hand-picked: the codes that most modalities use most, of different '
        "classes first, each with the first clip of every modality in test order.</p>",
    ]


def method_parts(result: Mapping[str, Any]) -> list[str]:
    """What the section on the protocol holds."""
    clips = result["settings"]["num_clips"]
    margin = 100 * 1.96 * math.sqrt(0.25 / clips["test"])
    smoke = (
        "<p><b>A smoke run: too few clips and steps for its scores to mean anything.</b></p>"
        if result["smoke"]
        else ""
    )
    return [
        smoke,
        f"<p>{clips['train']} training, {clips['val']} validation and {clips['test']} test clips; "
        "no recording and no picture is in two of them. FCID was trained without labels on the "
        "training clips, then frozen. Each probe is one linear layer, trained with labels of the "
        "training clips in one modality. Audio and video have a code per second, and a clip’s "
        "logits are the largest over its seconds; text has a code per caption. The probe’s epoch "
        "is the one best on validation clips of the <i>same</i> modality; test labels were read "
        "once, at that epoch. (The published code picks the best epoch on the test itself.)</p>",
        f"<p>One training, one seed: a score near 50 % is uncertain by about ±{margin:.1f} points "
        "from the number of test clips alone, and by more between seeds.</p>",
        f"<p>All of it took {report.duration(result['total_seconds'])}. To run it again:</p>",
        f"<pre>{html.escape(result['command'])}</pre>",
        report.details("settings", result["settings"]),
        report.details(
            "validation accuracy and chosen epochs of the probes",
            {
                "validation": result["probe_validation"],
                "epochs": result["probe_epochs_chosen"],
            },
        ),
        report.details("versions", result["versions"]),
        report.details("checksums of the data", result["features"]),
    ]
