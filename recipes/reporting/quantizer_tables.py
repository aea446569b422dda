"""Tables of the recipe `quantizers`: accuracy across modalities, retrieval, use, images, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.reporting import compare_tables, tables
from recipes.training.quantizer_variants import NAMES


def of_model(result: Mapping[str, Any], entry: str) -> dict[str, Any]:
    """Returns a result as one of the recipe `compare`, with a model for each quantiser.

    Args:
        result: result of one seed.
        entry: name of the model.

    Example:

    >>> of_model({"trained": {"fcid": {"fsq": 1}, "cmcm": {"fsq": 2}}}, "cmcm")["models"]
    {'fsq': 2}
    """
    return {**result, "models": result["trained"][entry]}


def table_of_model(results: Sequence[Mapping[str, Any]], entry: str) -> tables.Table:
    """Returns the main numbers of a model with each quantiser.

    Args:
        results: results, one per seed.
        entry: name of the model.
    """

    def cells(found: Mapping[str, Any]) -> dict[str, float]:
        scores, retrieval = found["scores"], found["retrieval"]
        within = [scores["codes"][pair] for pair in compare_tables.OWN]
        recalls = [row[0] for row in retrieval["codes"]["class"].values()]
        cells = {
            "across, vectors": 100 * compare_tables.mean_of_four(scores["codes"]),
            "across, identities": 100 * compare_tables.mean_of_four(scores["identities"]),
            "within": 100 * float(np.mean(within)),
            "R@1 of class": 100 * float(np.mean(recalls)),
        }
        if "overlap" in found:
            cells["overlap"] = 100 * found["overlap"]["clip"]["mean"]
            used = found["used"]["clip"]
            cells["codes used"] = float(np.mean(list(used.values())))
        cells["training (s)"] = found["train_seconds"]
        cells["memory (MB)"] = 1000 * found["memory_gigabytes"]
        return cells

    first = results[0]["trained"][entry]
    measured: dict[str, dict[str, list[float]]] = {}
    for name in first:
        of_seeds = [cells(result["trained"][entry][name]) for result in results]
        measured[name] = {key: [row[key] for row in of_seeds] for key in of_seeds[0]}
    note = (
        "Accuracy in per cent of probes trained on one modality and tested on another, mean of "
        "four directions, and on the same; recall at 1 of a clip of the class, mean of pairs; "
        "overlap of the modalities' codes, in per cent of segments; codes used by a modality, mean "
        f"of modalities, summed over levels and groups. Chance is {100 * results[0]['chance']:.1f}."
    )
    return tables.over_seeds(
        f"{entry} with each quantiser", "quantiser", measured, note=note, missing="–"
    )


def table_of_images(results: Sequence[Mapping[str, Any]]) -> tables.Table:
    """Returns reconstruction and use of codes of image VQ-VAEs.

    Args:
        results: results, one per seed.
    """
    measured = {
        name: {
            "squared error x 1000": [1000 * r["images"][name]["squared_error"] for r in results],
            "perplexity": [r["images"][name]["perplexity"] for r in results],
            "codes used": [float(r["images"][name]["used"]) for r in results],
            "of": [r["images"][name]["codes"] for r in results],
            "an epoch (s)": [r["images"][name]["seconds"] for r in results],
        }
        for name in results[0]["images"]
    }
    note = "Of test images. Combinations of the indices of levels or groups count as one code."
    return tables.over_seeds("Image VQ-VAE with each quantiser", "quantiser", measured, 2, note)


def all_tables(results: Sequence[Mapping[str, Any]]) -> list[tables.Table]:
    """Returns every table.

    Args:
        results: results, one per seed.

    Returns:
        Tables, the main ones first.
    """
    found = []
    for entry, trained in results[0]["trained"].items():
        found.append(table_of_model(results, entry))
        if len(trained) > 1:
            of_entry = [of_model(result, entry) for result in results]
            found.append(compare_tables.table_of_differences(of_entry))
    first = results[0]
    trained = [*first["trained"].values(), first["images"]]
    used = {name: {"layer": NAMES[name]} for names in trained for name in names}
    return [
        *found,
        table_of_images(results),
        tables.of_texts("Quantisers", "quantiser", used),
    ]


def method(result: Mapping[str, Any]) -> str:
    """Describes how quantisers were compared.

    Args:
        result: result of one seed.

    Returns:
        Sentences.
    """
    chosen, clips = result["settings"], result["num_clips"]
    images = chosen["num_images"]
    return (
        f"Every model and quantiser: {clips['train']} training clips without labels, "
        f"{chosen['epochs']} epochs of which the best on validation clips of the probe's own "
        f"modality is kept, batches of {chosen['batch_size']}, {clips['test']} test clips; the "
        "learning rate and all other settings of a model are the same for every quantiser, and "
        "were chosen with that of its preset. Image VQ-VAEs: "
        f"{images['train']} rendered pictures, as many epochs, {images['test']} test pictures."
    )
