"""Pictures of a comparison: confusions across modalities, and clips that share a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.protocol import code_use
from recipes.protocol.clips import Clips, clip_labels
from recipes.reporting import charts
from recipes.reporting.compare_tables import FOUR
from recipes.reporting.page import Gallery, Section, Text, render
from recipes.reporting.quickstart_page import example_blocks
from recipes.reporting.same_code_examples import same_code

EXAMPLES = 8
SHARED = "shared_codes.html"


def confusions(results: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Returns the confusion of classes across modalities, a section per model.

    Args:
        results: results, one per seed.

    Returns:
        Sections; counts are summed over seeds and shown as shares of each class.
    """
    names = results[0].get("categories", [])
    sections = []
    for model in results[0]["models"]:
        pictures = {}
        for view, title in (("codes", "vectors"), ("identities", "identities")):
            if view not in results[0]["models"][model].get("confusion", {}):
                continue
            for pair in FOUR:
                counts = np.sum(
                    [result["models"][model]["confusion"][view][pair] for result in results], axis=0
                )
                shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
                label = f"{pair.replace('->', ' to ')}, {title}"
                pictures[label] = charts.confusion_map(label, shares, names)
        if pictures:
            about = "Rows are classes of test clips, columns the answers of the probe."
            sections.append(
                Section(f"Confusions of {model}", [Text(about, soft=True), Gallery(pictures)])
            )
    return sections


def write_shared_codes(
    out: Path, clips: Clips, model: str, codes: Mapping[str, Sequence[Any]], raw: str | None
) -> bool:
    """Writes a page of test clips of different modalities that share a code.

    Args:
        out: folder to write into.
        clips: the clips, of a prepared folder.
        model: name of the model.
        codes: modality to the commonest codes of each test clip, as
            `recipes.protocol.code_sharing.commonest_codes`.
        raw: folder of the raw files; that of the preparation if None.

    Returns:
        Whether it was written: not without codes, or without the raw files.
    """
    if not codes:
        return False
    each = {name: np.array(of) for name, of in codes.items()}
    number = max(int(of.max()) for of in each.values()) + 1
    # A clip without the modality gets a code of its modality alone, which nothing shares.
    indices = {
        name: np.where(of < 0, number + place, of) for place, (name, of) in enumerate(each.items())
    }
    labels = clip_labels(clips, "test")
    try:
        examples = same_code(
            clips.root,
            indices,
            labels,
            number + len(codes),
            raw,
            limit=EXAMPLES,
        )
    except FileNotFoundError:
        return False
    blocks = example_blocks(examples, code_use.label_agreement(each, labels))
    title = f"Clips that share a code of {model}"
    sections = [Section("Test clips with the same code", blocks)]
    (out / SHARED).write_text(render(title, f"{clips.data}, test clips", sections), "utf-8")
    return True
