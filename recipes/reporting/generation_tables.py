"""Tables of the recipe `generation`: distances, classes of generated images, the paper's FID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recipes.reporting import paper_tables
from recipes.reporting.tables import Table, cell, of_published, over_seeds


def all_tables(results: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Returns the tables of generated images.

    Args:
        results: results, one per seed.
    """
    first = results[0]
    measure = f"{first['measure']} to real test images"
    note = f"Lower is better. Features: {first['features_of']}."
    accuracy = cell([100 * result["judge_accuracy"] for result in results])
    bounds = {
        name: {"distance": [result["bounds"][name] for result in results]}
        for name in first["bounds"]
    }
    return [
        over_seeds(measure, "model", _over(results, "distances", 1), 2, note),
        over_seeds(f"{measure}: bounds", "images", bounds, 2),
        over_seeds(
            "Generated images of the clip's class (%)",
            "model",
            _over(results, "accuracies", 100),
            note=f"By the classifier, whose accuracy on real images is {accuracy} %.",
        ),
        of_published(paper_tables.GENERATION),
    ]


def _over(
    results: Sequence[Mapping[str, Any]], kind: str, scale: float
) -> dict[str, dict[str, list[float]]]:
    return {
        model: {
            column: [scale * result[kind][model][column] for result in results] for column in cells
        }
        for model, cells in results[0][kind].items()
    }
