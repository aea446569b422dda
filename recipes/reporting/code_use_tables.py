"""Tables of codes: which modalities use them (Figures 6, 7), how similar they are (Figure 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recipes.reporting.codebook_sections import dimensions
from recipes.reporting.tables import Table, over_seeds


def use_table(results: Sequence[Mapping[str, Any]], name: str) -> Table:
    """Returns the numbers of codes by the modalities that use them.

    Args:
        results: results of `activation`, one per seed.
        name: name of the model.
    """
    first = results[0]
    columns = {
        "shared": "green: every modality",
        "partial": "blue: some",
        "specific": "red: one modality",
        "any": "in use",
        **{modality: f"by {modality}" for modality in first["modalities"]},
    }
    measured = {
        name: {
            heading: [result["codes_used"][key] for result in results]
            for key, heading in columns.items()
        }
    }
    note = (
        f"Of {first['num_embeddings']} codes. Figures 6 and 7 of the paper are pictures without "
        "numbers."
    )
    return over_seeds("Codes by the modalities that use them", "model", measured, note=note)


def similarity_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Returns the mean similarity of codes in all dimensions and in those that TOC keeps.

    Args:
        results: results of `codebook_similarity`, one per seed.
    """
    columns = {"mean cosine": "similarity", "mean size of the cosine": "spread"}
    measured = {
        dimensions(name): {
            column: [result[kind][name] for result in results] for column, kind in columns.items()
        }
        for name in results[0]["similarity"]
    }
    note = "Over pairs of different codes; Figure 8 of the paper is a picture without numbers."
    return over_seeds("Similarity of codes", "dimensions", measured, digits=3, note=note)
