"""The page of the quickstart: scores, examples, training, codebook, method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import keras_cmg
from recipes.reporting import codebook_sections, probe_tables
from recipes.reporting.page import (
    Command,
    Details,
    Examples,
    Facts,
    Section,
    Text,
    duration,
    per_cent,
    render,
)
from recipes.reporting.report_writer import SMOKE

PROTOCOL = (
    "No recording and no picture is in two splits. {model} was trained without labels on the "
    "training clips, then frozen. Each probe is one linear layer, trained with labels of the "
    "training clips in one modality. Audio and video have a code per second, and a clip’s logits "
    "are the largest over its seconds; text has a code per caption. The probe’s epoch is the best "
    "on validation clips of the same modality; test labels were read once, at that epoch. (The "
    "published code picks the best epoch on the test itself.)"
)


def quickstart_page(
    result: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
    codebook: np.ndarray,
    kept: Mapping[str, np.ndarray],
    counts: np.ndarray,
    examples: Sequence[Mapping[str, Any]],
) -> str:
    """Renders the report of a quickstart.

    Args:
        result: what `result.json` holds.
        history: log key to a value per epoch of training.
        codebook: (codes, dim) float.
        kept: name to the channels that TOC keeps.
        counts: (codes, modalities) uses of codes by test segments, every modality weighing alike.
        examples: as `recipes.reporting.same_code_examples.same_code` returns them.

    Returns:
        HTML.
    """
    settings, versions = result["settings"], result["versions"]
    name = keras_cmg.models.get_model_class(settings["model"]).__name__
    subtitle = (
        f"{name} on {settings['data']} clips, seed {result['seed']}, {versions['engine']} "
        f"{versions['engine_version']}, Keras {versions['keras']}, keras_cmg "
        f"{versions['keras_cmg']}"
    )
    agreement = result["label_agreement"]
    facts = {
        "of test segments on codes that every modality uses": per_cent(result["shares"]["shared"]),
        "of clips of another modality with a clip’s code have its label": (
            "–" if agreement is None else per_cent(agreement)
        ),
        f"mean accuracy of probes across modalities, chance {per_cent(result['chance'])}": per_cent(
            probe_tables.mean_across(result["scores"])
        ),
        f"training without labels, {settings['epochs']} epochs": duration(
            result["encoder"]["train_seconds"]
        ),
    }
    explained = (
        "Accuracy in per cent on test clips. “codes”: the probe sees quantised codes; “TOC”: only "
        f"that many of their {codebook.shape[1]} dimensions; “continuous”: the features before "
        "quantisation."
    )
    notice = [Text(SMOKE, strong=True)] if result["smoke"] else []
    modalities = tuple(name.partition("->")[2] for name in result["scores"])
    return render(
        "One code space for sound, pictures and words",
        subtitle,
        [
            Section("", [*notice, Facts(facts)]),
            Section("What the modalities share", codebook_sections.shares_blocks(result)),
            Section(
                "A probe learns on one modality and is tested on another",
                [probe_tables.shaded_table(result), Text(explained, soft=True)],
            ),
            Section(
                "Clips of different modalities with the same code",
                example_blocks(examples, agreement),
            ),
            Section(
                "Training without labels",
                codebook_sections.loss_blocks(history, result["loss_terms"]),
            ),
            Section(
                "Similarity of codes, before and after TOC",
                codebook_sections.similarity_blocks(codebook, kept),
            ),
            Section(
                "Use of codes by modality",
                codebook_sections.use_blocks(
                    counts,
                    result["codes_used"],
                    tuple(dict.fromkeys(modalities)),
                    result["codes_of_a_segment"],
                ),
            ),
            Section("What was measured, and how", method_blocks(result, name)),
        ],
    )


def example_blocks(
    examples: Sequence[Mapping[str, Any]], agreement: float | None = None
) -> list[Any]:
    """Returns the section of examples.

    Args:
        examples: as `recipes.reporting.same_code_examples.same_code` returns them.
        agreement: as `recipes.protocol.code_use.label_agreement` returns it.
    """
    if not examples:
        return [Text("No two test clips of different modalities have the same code.")]
    whole = ""
    if agreement is not None:
        whole = (
            f" Of the other test clips that have a clip’s code in another modality, "
            f"{per_cent(agreement)} have its label, as the mean over clips."
        )
    agreeing = sum(example["agrees"] for example in examples)
    return [
        Text(
            "Each row shows test clips that have the same code, in different modalities and from "
            "different clips. Labels took no part in training the codes. All labels of a row are "
            f"the same in {agreeing} of these {len(examples)}.{whole}"
        ),
        Examples(examples),
        Text(
            "Not hand-picked: the codes that most modalities use most, of different classes "
            "first, each with the first clip of every modality in test order.",
            soft=True,
        ),
    ]


def method_blocks(result: Mapping[str, Any], name: str) -> list[Any]:
    """Returns the section on the method.

    Args:
        result: what `result.json` holds.
        name: name of the model.
    """
    clips = result["num_clips"]
    margin = 100 * 1.96 * math.sqrt(0.25 / clips["test"])
    return [
        Text(
            f"{clips['train']} training, {clips['val']} validation and {clips['test']} test "
            f"clips. {PROTOCOL.format(model=name)}"
        ),
        Text(
            f"One training, one seed: a score near 50 % is uncertain by about ±{margin:.1f} "
            "points from the number of test clips alone, and by more between seeds."
        ),
        Text(f"It took {duration(result['total_seconds'])}. To run it again:"),
        Command(result["command"]),
        Details("settings", result["settings"]),
        Details(
            "validation accuracy and chosen epochs of the probes",
            {"validation": result["probe_validation"], "epochs": result["probe_epochs_chosen"]},
        ),
        Details("versions", result["versions"]),
        Details("checksums of the data", result["features"]),
    ]
