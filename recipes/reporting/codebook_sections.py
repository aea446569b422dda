"""Blocks that pages share: loss curves, similarity of codes before and after TOC, use of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recipes.protocol import code_use
from recipes.reporting import charts
from recipes.reporting.page import Details, Gallery, Picture, Text

CODEBOOK_LOGS = ("perplexity", "code_usage", "code_agreement")


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
        pictures[key] = charts.epoch_lines(key.replace("_", " "), series, legend=key == "loss")
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
        "clip have the same code."
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


def use_blocks(indices: Mapping[str, np.ndarray], num_embeddings: int) -> list[Any]:
    """Returns how modalities share codes (Figures 6 and 7).

    Args:
        indices: modality to int codes, one per clip or per segment.
        num_embeddings: number of codes.

    Returns:
        Blocks of a section.

    Example:

    >>> len(use_blocks({"audio": np.array([0, 1]), "text": np.array([1])}, 3))
    3
    """
    counts = code_use.activations(indices, num_embeddings)
    used = code_use.summary(indices, num_embeddings)
    each = ", ".join(f"{name} {used[name]}" for name in indices)
    return [
        Picture(charts.code_use_bars(counts, code_use.colours(counts)), "use of each code"),
        Text(
            f"Of {num_embeddings} codes, test clips use {used['any']} ({each}); {used['shared']} "
            "are used by every modality."
        ),
        Text(
            "One code per clip and modality. Green: each modality has at least 5 % of the code’s "
            "use; red: one modality has more than 95 %; blue: in between.",
            soft=True,
        ),
    ]
