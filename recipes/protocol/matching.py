"""Search across modalities: vectors of clips, and recall of their partners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import keras_cmg
from keras_cmg.metrics import RecallAtK
from recipes.protocol import clips

RANKS = (1, 5, 10)
DIRECTIONS = ("forward", "backward")


class Vectors(NamedTuple):
    """One vector per clip, modality and view."""

    views: dict[str, dict[str, np.ndarray]]
    """Modality to view to float (clips, dim)."""
    of_class: np.ndarray | None
    """(clips,) int; None where the data have no classes."""

    @property
    def num_clips(self) -> int:
        """Clips that there are."""
        return len(next(iter(next(iter(self.views.values())).values())))


def views_of(
    encoders: Mapping[str, keras.Model],
    source: clips.Clips,
    split: str,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
) -> Vectors:
    """Vectors of the clips of a split.

    Args:
        encoders: modality to encoder of clips.
        source: where the clips are read from.
        split: "train", "val" or "test".
        masks: name to TOC mask, adapted.

    Returns:
        The vectors, discrete ones only where the system has codes.

    Raises:
        ValueError: clips of one modality are missing, so that pairs would break.
    """
    views, of_class = {}, None
    for name, encoder in encoders.items():
        labelled = source.prepared and of_class is None
        found = clips.encode(encoder.backbone, source, split, name, "clip", labelled, encoder)
        if found.missing:
            raise ValueError(
                f"{found.missing} clips of {split} lack {name}, so that they have no partner: "
                "leave them out by `python -m data_tools verify --clean`"
            )
        if found.labels is not None:
            of_class = found.labels[..., :-1].sum(axis=1).argmax(axis=-1)
        quantized = found.codes["quantized"]
        views[name] = {"continuous": found.codes["general"]}
        if "indices" in found.codes:
            views[name]["quantized"] = quantized
        for kept, mask in masks.items():
            views[name][kept] = ops.convert_to_numpy(mask(ops.convert_to_tensor(quantized)))
    return Vectors(views, of_class)


def held_out(
    encoders: Mapping[str, keras.Model],
    source: clips.Clips,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
) -> Vectors:
    """Vectors of clips that are not tested: of validation, or of training where there is none.

    Args:
        encoders: modality to encoder of clips.
        source: where the clips are read from.
        masks: name to TOC mask, adapted.

    Returns:
        The vectors.

    Raises:
        ValueError: the data have test clips alone.
    """
    for split in ("val", "train"):
        try:
            source.select(split, list(encoders)[:1])
        except (FileNotFoundError, ValueError):
            continue
        return views_of(encoders, source, split, masks)
    raise ValueError(
        f"{source.data} has test clips alone, so that nothing can be chosen: give one number of "
        "dimensions, such as --toc-channels 128"
    )


def recalls(vectors: Vectors, same_class: bool = False) -> dict[str, Any]:
    """Recall of every pair of modalities, view, direction and rank.

    Args:
        vectors: of clips.
        same_class: whether any clip of the same class is right, in place of the partner alone.

    Returns:
        Pair "a-b", in the order of the alphabet, to view to direction ("forward": a asks) to
        "R@k" to a fraction; the view "chance" is what random order reaches.

    Example:

    >>> both = {"codes": np.eye(12, dtype="float32")}
    >>> recalls(Vectors({"audio": both, "text": both}, None))["audio-text"]["codes"]["forward"]
    {'R@1': 1.0, 'R@5': 1.0, 'R@10': 1.0}
    """
    right = np.eye(vectors.num_clips, dtype=bool)
    if same_class and vectors.of_class is not None:
        right = vectors.of_class[:, None] == vectors.of_class
    names = sorted(vectors.views)
    found: dict[str, Any] = {}
    for a, b in [(a, b) for a in names for b in names if a < b]:
        scores = {
            view: cosine(vectors.views[a][view], vectors.views[b][view])
            for view in vectors.views[a]
        }
        scores["chance"] = np.zeros(right.shape, "float32")
        found[f"{a}-{b}"] = {
            view: {
                direction: {f"R@{k}": recall(right, cosines, k, direction) for k in RANKS}
                for direction in DIRECTIONS
            }
            for view, cosines in scores.items()
        }
    return found


def recall(right: np.ndarray, scores: np.ndarray, k: int, direction: str) -> float:
    """Recall at k.

    Args:
        right: (clips, clips) bool.
        scores: (clips, clips).
        k: how many candidates a query may show.
        direction: "forward", rows ask, or "backward".

    Returns:
        A fraction.

    Example:

    >>> recall(np.eye(2, dtype=bool), np.eye(2), 1, "forward")
    1.0
    """
    metric = RecallAtK(k, direction)
    metric.update_state(right, scores)
    return float(metric.result())


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines of each two vectors; equal vectors give equal cosines to the last bit.

    Args:
        a: (clips, dim).
        b: (clips, dim).

    Returns:
        (clips, clips) float.

    Example:

    >>> cosine(np.array([[2.0, 0.0]]), np.array([[3.0, 0.0], [0.0, 1.0]])).tolist()
    [[1.0, 0.0]]
    """
    unit_a, unit_b = (
        x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo("float32").tiny)
        for x in (a, b)
    )
    # Each distinct vector once: the order of a sum may hang on its place in a large product.
    (rows, row), (columns, column) = (
        np.unique(unit, axis=0, return_inverse=True) for unit in (unit_a, unit_b)
    )
    return (rows @ columns.T)[np.ravel(row)[:, None], np.ravel(column)]


def best_masks(found: Mapping[str, Any], masks: Sequence[str]) -> dict[str, str]:
    """The mask that recalls most, for each pair; the first of equals.

    Args:
        found: of `recalls`.
        masks: names of the views to choose among.

    Returns:
        Pair to name.
    """
    return {pair: max(masks, key=lambda name: mean(views[name])) for pair, views in found.items()}


def mean(view: Mapping[str, Mapping[str, float]], rank: str | None = None) -> float:
    """Mean over directions, and over ranks unless one is named.

    Args:
        view: direction to rank to fraction.
        rank: such as "R@5".

    Returns:
        A fraction.

    Example:

    >>> mean({"forward": {"R@1": 0.25}, "backward": {"R@1": 0.75}})
    0.5
    """
    return float(
        np.mean(
            [
                value
                for ranks in view.values()
                for name, value in ranks.items()
                if rank in (None, name)
            ]
        )
    )
