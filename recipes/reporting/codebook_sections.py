"""Blocks that pages share: loss curves, similarity of codes before and after TOC, use of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_cmg.ops.code_activation import MAX_SHARE, MIN_SHARE
from recipes.protocol import code_use
from recipes.reporting import charts
from recipes.reporting.page import Details, Gallery, Picture, Shares, Text, per_cent
from recipes.reporting.probe_tables import mean_across

CODEBOOK_LOGS = ("perplexity", "code_usage", "code_agreement", "partner_retrieval")
UNITS = {
    "loss": "weighted sum of terms",
    "perplexity": "codes",
    "code_usage": "share of codes",
    "code_agreement": "share of segments",
    "partner_retrieval": "share of clips",
}
"""Log key to unit."""
SQUARED = ("reconstruction", "commitment", "distillation", "translation", "distance")
"""Parts of the names of terms that are squared errors."""


def unit_of(key: str) -> str:
    """Returns the unit of a log of training.

    Args:
        key: log key.

    Example:

    >>> unit_of("perplexity"), unit_of("club_audio"), unit_of("commitment")
    ('codes', 'nats', 'squared error')
    """
    if key in UNITS:
        return UNITS[key]
    if "accuracy" in key:
        return "share of clips"
    return "squared error" if any(part in key for part in SQUARED) else "nats"


def curves_by_epoch(
    histories: Mapping[str, Mapping[str, Sequence[float]]], keys: Sequence[str]
) -> dict[str, bytes]:
    """Draws what was logged by epoch, a picture per key and a line per run.

    Args:
        histories: name of a run to log key to a value per epoch.
        keys: log keys.

    Returns:
        Log key to content of a PNG file.
    """
    pictures = {}
    for key in keys:
        series = {
            name: {
                "training": history[key],
                **({"validation": history[f"val_{key}"]} if f"val_{key}" in history else {}),
            }
            for name, history in histories.items()
        }
        pictures[key] = charts.epoch_lines(
            key.replace("_", " "), series, key == "loss", unit_of(key)
        )
    return pictures


def described(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns pictures of `curves_by_epoch` with descriptions.

    Args:
        pictures: log key to content of a PNG file.

    Example:

    >>> described({"code_usage": b""})
    {'code usage by epoch': b''}
    """
    return {f"{key.replace('_', ' ')} by epoch": content for key, content in pictures.items()}


def loss_blocks(history: Mapping[str, Sequence[float]], terms: Sequence[str]) -> list[Any]:
    """Returns curves of training by epoch (Figure 9).

    Args:
        history: log key to a value per epoch.
        terms: keys of the terms of the loss, shown first.

    Returns:
        Blocks of a section.

    Example:

    >>> len(loss_blocks({"loss": [2.0, 1.0], "cpc": [1.0, 0.5], "nll": [1.0, 0.9]}, ["cpc"]))
    3
    """
    main = ["loss", *terms, *(key for key in CODEBOOK_LOGS if key in history)]
    others = sorted(key for key in history if key[:4] != "val_" and key not in main)
    blocks: list[Any] = [Gallery(described(curves_by_epoch({"": history}, main)))]
    if others:
        more = Gallery(described(curves_by_epoch({"": history}, others)))
        blocks.append(Details("other logs of training", blocks=[more]))
    text = (
        "The loss, its terms and the state of the codebook by epoch, on training and (dashed) "
        "validation clips. “Perplexity”: number of codes that a batch uses, as if equally often; "
        "“code usage”: share of all codes in it; “code agreement”: how often two modalities of a "
        "clip have the same code; “partner retrieval”: how often a clip’s own partner in another "
        "modality is the nearest of the batch."
    )
    return [*blocks, Text(text, soft=True)]


def similarity_pictures(codebook: np.ndarray, kept: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Draws the similarity of every two codes, in all dimensions and in those kept by TOC.

    Args:
        codebook: (codes, dim) float.
        kept: name to the dimensions.

    Returns:
        Name to content of a PNG file; "all" is the first.

    Example:

    >>> list(similarity_pictures(np.eye(4), {"2": np.array([0, 1])}))
    ['all', '2']
    """
    maps = {"all": code_use.cosine_similarity(codebook)}
    maps |= {n: code_use.cosine_similarity(codebook[:, channels]) for n, channels in kept.items()}
    lowest = min(0.0, *(float(similarity.min()) for similarity in maps.values()))
    return {
        name: charts.similarity_map(
            f"{dimensions(name)}, mean {code_use.mean_off_diagonal(similarity):.3f}",
            similarity,
            lowest,
        )
        for name, similarity in maps.items()
    }


def dimensions(name: str) -> str:
    """Returns the heading of a picture of similarity.

    Args:
        name: "all", or the number of dimensions that TOC keeps.

    Example:

    >>> dimensions("all"), dimensions("64")
    ('all dimensions', 'TOC keeps 64')
    """
    return "all dimensions" if name == "all" else f"TOC keeps {name}"


def similarity_blocks(codebook: np.ndarray, kept: Mapping[str, np.ndarray]) -> list[Any]:
    """Returns the similarity of every two codes, before and after TOC (Figure 8).

    Args:
        codebook: (codes, dim) float.
        kept: name to the dimensions that TOC keeps.

    Returns:
        Blocks of a section.

    Example:

    >>> len(similarity_blocks(np.eye(4), {"2": np.array([0, 1])}))
    2
    """
    pictures = similarity_pictures(codebook, kept)
    text = (
        "Cosine similarity of every two codes, and its mean over different codes. TOC "
        "(training-free optimisation of the codebook) keeps the dimensions in which codes differ: "
        "codes that are less similar are easier to tell apart."
    )
    shown = {f"Similarity of codes: {dimensions(name)}": x for name, x in pictures.items()}
    return [Gallery(shown), Text(text, soft=True)]


def shares_blocks(result: Mapping[str, Any]) -> list[Any]:
    """Returns how far the modalities share codes, and why a probe transfers where they do not.

    Args:
        result: with `shares`, `codes_of_a_segment`, `scores` and `nearest_shared_label` of a
            quickstart.

    Returns:
        Blocks of a section.
    """
    shares = result["shares"]
    names = charts.KIND_NAMES
    count = result["codes_of_a_segment"]
    several = f" A segment has {count} codes; shares are means over them." if count > 1 else ""
    values = {f"used by {name}": shares[kind] for kind, name in names.items()}
    blocks: list[Any] = [
        Shares("Share of test segments on codes", values, tuple(names)),
        Text(
            f"{per_cent(shares['shared'])} of the test segments have a code that every modality "
            f"uses: each has at least {100 * MIN_SHARE:.0f} % of the code’s use. "
            f"{per_cent(shares['specific'])} have a code of one modality, which has more than "
            f"{100 * MAX_SHARE:.0f} % of its use. Every modality weighs alike.{several}"
        ),
    ]
    nearest = result["nearest_shared_label"]
    if nearest is not None:
        accuracy = per_cent(mean_across(result["scores"]))
        blocks.append(
            Text(
                "A probe reads the vector of a code, not its number, so that it can transfer from "
                "a code of one modality to a near code of another (mean accuracy across "
                f"modalities: {accuracy}). For {per_cent(nearest)} of the segments on codes of one "
                "modality, the nearest code that another modality uses stands most often for the "
                "same label."
            )
        )
    return blocks


def use_blocks(
    counts: np.ndarray,
    used: Mapping[str, int],
    modalities: Sequence[str],
    codes_of_a_segment: int = 1,
) -> list[Any]:
    """Returns how often each code is used, by the modalities that use it (Figures 6 and 7).

    Args:
        counts: (codes, modalities), see `recipes.protocol.code_sharing.weighted_counts`.
        used: as `recipes.protocol.code_use.summary` returns it.
        modalities: names of the modalities.
        codes_of_a_segment: number of codes that describe a segment together.

    Returns:
        Blocks of a section.

    Example:

    >>> counts = np.array([[1, 0], [1, 1], [0, 0]])
    >>> used = code_use.summary(counts, ("audio", "text"))
    >>> len(use_blocks(counts, used, ("audio", "text")))
    2
    """
    # Per cent of all segments, where every modality weighs alike.
    heights = 100 * counts / counts.sum()
    each = ", ".join(f"{name} {used[name]}" for name in modalities)
    picture = charts.code_use_bars(heights, code_use.kinds(counts), "test segments (%)")
    several = (
        f"A segment has {codes_of_a_segment} codes, one of each "
        f"{len(counts) // codes_of_a_segment}: each describes a group of channels. "
        if codes_of_a_segment > 1
        else ""
    )
    return [
        Picture(picture, "use of each code"),
        Text(
            f"{several}Of {len(counts)} codes, test segments use {used['any']} ({each}): "
            f"{used['shared']} are used by every modality, {used['partial']} by some, "
            f"{used['specific']} by one, as defined above."
        ),
    ]
