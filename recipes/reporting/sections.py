"""Sections that pages share: loss curves, codes before and after TOC, who uses which code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recipes.protocol import code_use
from recipes.reporting import figures, report


def loss_parts(history: Mapping[str, Sequence[float]], terms: Sequence[str]) -> list[str]:
    """Curves of training by epoch (Figure 9).

    Args:
        history: log key to a value per epoch.
        terms: keys of the terms of the loss, shown first.

    Returns:
        HTML.

    Example:

    >>> len(loss_parts({"loss": [2.0, 1.0], "cpc": [1.0, 0.5], "nll": [1.0, 0.9]}, ["cpc"]))
    3
    """
    codes = [key for key in ("perplexity", "code_usage", "code_agreement") if key in history]
    main = ["loss", *terms, *codes]
    others = sorted(key for key in history if key[:4] != "val_" and key not in main)

    def curves(keys: Sequence[str]) -> str:
        pictures = {}
        for key in keys:
            series = {"train": history[key]}
            if f"val_{key}" in history:
                series["validation"] = history[f"val_{key}"]
            title = key.replace("_", " ")
            pictures[f"{title} by epoch"] = figures.curve(title, series, legend=key == "loss")
        return report.gallery(pictures)

    more = f"<details><summary>other figures of training</summary>{curves(others)}</details>"
    return [
        curves(main),
        more if others else "",
        '<p class="soft">The loss, its terms and the state of the codebook, by epoch, on training '
        "and validation clips. “Perplexity”: how many codes a batch uses, counted as if "
        "evenly; “code usage”: the share of all codes in it; “code agreement”: how often "
        "two modalities of a clip get the same code.</p>",
    ]


def similarity_parts(codebook: np.ndarray, kept: Mapping[str, np.ndarray]) -> list[str]:
    """Similarity of each two codes, before and after TOC (Figure 8).

    Args:
        codebook: (codes, dim) float.
        kept: name to the dimensions that TOC keeps.

    Returns:
        HTML.

    Example:

    >>> len(similarity_parts(np.eye(4), {"2": np.array([0, 1])}))
    2
    """
    everything = {f"all {codebook.shape[1]} dimensions": codebook}
    chosen = {f"TOC keeps {name}": codebook[:, channels] for name, channels in kept.items()}
    maps = {
        title: code_use.cosine_similarity(codes) for title, codes in (everything | chosen).items()
    }
    lowest = min(0.0, *(float(similarity.min()) for similarity in maps.values()))
    pictures = {}
    for title, similarity in maps.items():
        text = f"{title}, mean {code_use.mean_off_diagonal(similarity):.3f}"
        pictures[f"Similarity of codes: {text}"] = figures.similarity_map(text, similarity, lowest)
    return [
        report.gallery(pictures),
        '<p class="soft">Cosine similarity of each two codes, and its mean over different codes. '
        "TOC (training-free optimisation of the codebook) keeps the dimensions in which codes "
        "differ: the less alike two codes are, the easier a probe tells them apart.</p>",
    ]


def use_parts(indices: Mapping[str, np.ndarray], num_embeddings: int) -> list[str]:
    """How modalities share codes (Figures 6 and 7).

    Args:
        indices: modality to int codes, one per clip or per segment.
        num_embeddings: number of codes.

    Returns:
        HTML.

    Example:

    >>> len(use_parts({"audio": np.array([0, 1]), "text": np.array([1])}, 3))
    3
    """
    counts = code_use.activations(indices, num_embeddings)
    used = code_use.summary(indices, num_embeddings)
    each = ", ".join(f"{name} {used[name]}" for name in indices)
    return [
        report.picture(figures.code_use_bars(counts, code_use.colours(counts)), "use of each code"),
        f"<p>Of {num_embeddings} codes, test clips use {used['any']} ({each}); "
        f"{used['shared']} are used by every modality.</p>",
        '<p class="soft">One code per clip and modality. Green: each modality has at least 5 % '
        "of the code’s use; red: one modality has more than 95 %; blue: between the two.</p>",
    ]
