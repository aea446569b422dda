"""Tables and charts of the recipe `vqvae_toc`: errors of masked reconstructions (Table 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.reporting import charts, paper_tables
from recipes.reporting.tables import Table, beside_published, over_seeds
from recipes.runner.seed_runs import Run

VIEWS = {"zero": "masked dimensions at zero", "mean": "codes from their mean"}
RANDOM = "mean of random masks"


def all_tables(runs: Sequence[Run]) -> list[Table]:
    """Returns, for each view, errors beside the paper's and the share of random masks beaten.

    Args:
        runs: finished seeds.
    """
    data = runs[0].result["settings"]["data"]
    found = []
    for view, text in VIEWS.items():
        errors: dict[str, dict[str, list[float]]] = {}
        beaten: dict[str, dict[str, list[float]]] = {}
        for share in runs[0].result["masked"][view]:
            cells = [run.result["masked"][view][share] for run in runs]
            criteria = list(cells[0]["chosen"])
            errors[share] = {
                RANDOM: [float(np.mean(cell["random"])) for cell in cells],
                **{name: [cell["chosen"][name] for cell in cells] for name in criteria},
            }
            beaten[share] = {
                name: [
                    100 * float(np.mean(np.array(cell["random"]) > cell["chosen"][name]))
                    for cell in cells
                ]
                for name in criteria
            }
        table = beside_published(paper_tables.MASKED_RECONSTRUCTION, errors, 4, data)
        found.append(dataclasses.replace(table, title=f"{table.title}; {text}"))
        title = f"Random masks worse than each criterion (%); {text}"
        found.append(over_seeds(title, "masked dimensions (%)", beaten, digits=0))
    return [*found, _gain_table(runs)]


def _gain_table(runs: Sequence[Run]) -> Table:
    gains = {
        share: {
            text: [
                100 * (cell["usage-weighted TOC"] / cell["TOC"] - 1)
                for cell in (run.result["masked"][view][share]["chosen"] for run in runs)
            ]
            for view, text in VIEWS.items()
        }
        for share in runs[0].result["masked"]["zero"]
    }
    title = "Usage-weighted TOC against uniform TOC: change of the error (%)"
    return over_seeds(title, "masked dimensions (%)", gains, note="Paired by seed.")


def curves(runs: Sequence[Run]) -> dict[str, bytes]:
    """Draws errors by share of masked dimensions, means over seeds.

    Args:
        runs: finished seeds.

    Returns:
        View to content of a PNG file.
    """
    pictures = {}
    for view, title in VIEWS.items():
        shares = list(runs[0].result["masked"][view])
        cells = [[run.result["masked"][view][share] for run in runs] for share in shares]
        lines = {RANDOM: [float(np.mean([c["random"] for c in row])) for row in cells]}
        for name in cells[0][0]["chosen"]:
            lines[name] = [float(np.mean([c["chosen"][name] for c in row])) for row in cells]
        band = (
            "random masks",
            [min(min(c["random"]) for c in row) for row in cells],
            [max(max(c["random"]) for c in row) for row in cells],
        )
        places = [float(share) for share in shares]
        pictures[title] = charts.error_curves(title, places, lines, band)
    return pictures


def method(settings: Mapping[str, Any]) -> str:
    """Describes how the errors were measured.

    Args:
        settings: settings of the run.

    Returns:
        Plain text.
    """
    number = settings["num_images"]
    return (
        f"A VQ-VAE of 128 codes of 128 dimensions, trained for {settings['epochs']} epochs on "
        f"{number['train']} images; errors are means over {number['test']} test images, pixels "
        "from 0 to 1. Random masks are drawn anew for each seed and share. With codes from their "
        "mean, the mean of all codes is subtracted from each before dimensions are chosen, and "
        "replaces a masked dimension, for random masks as well. Usage-weighted criteria weight "
        "each code by its use on the training images, whose first class has "
        f"{settings['imbalance']:g} times as many images as its last. Random masks worse: of "
        f"{settings['num_masks']}."
    )
