"""Retrieval across modalities: one vector per clip, cosine similarity, recall at k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import keras_cmg
from keras_cmg.metrics import RecallAtK
from recipes.protocol.clips import Clips, clip_classes, encode
from recipes.protocol.cross_modal_probes import QUANTIZED, code_views

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
        """Number of clips."""
        return len(next(iter(next(iter(self.views.values())).values())))


def clip_vectors(
    encoders: Mapping[str, keras.Model],
    clips: Clips,
    split: str,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
) -> Vectors:
    """Computes the vectors of the clips of a split.

    Args:
        encoders: modality to encoder of clips.
        clips: where clips are read from.
        split: "train", "val" or "test".
        masks: name to TOC mask, adapted.

    Returns:
        The vectors; discrete ones only where the model has codes.

    Raises:
        ValueError: if clips of one modality cannot be read, which would break the pairs.
    """
    views, of_class = {}, None
    for name, encoder in encoders.items():
        labelled = clips.prepared and of_class is None
        found = encode(encoder.backbone, clips, split, name, "clip", labelled, encoder)
        if found.missing:
            raise ValueError(
                f"{found.missing} clips of {split} lack {name}, so that they have no partner: "
                "leave them out by `python -m data_tools verify --clean`"
            )
        if found.labels is not None:
            of_class = clip_classes(found.labels)
        discrete = {name: x[:, 0] for name, x in code_views(found.codes, masks).items()}
        if "indices" not in found.codes:
            del discrete[QUANTIZED]
        views[name] = discrete
    return Vectors(views, of_class)


def validation_vectors(
    encoders: Mapping[str, keras.Model],
    clips: Clips,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
) -> Vectors:
    """Computes the vectors of validation clips, or of training clips of data without such.

    Args:
        encoders: modality to encoder of clips.
        clips: where clips are read from.
        masks: name to TOC mask, adapted.

    Returns:
        The vectors.

    Raises:
        ValueError: if the data have test clips only.
    """
    for split in ("val", "train"):
        if clips.has(split):
            return clip_vectors(encoders, clips, split, masks)
    raise ValueError(
        f"{clips.data} has test clips only, so that nothing can be chosen: give one number of "
        "dimensions, such as --toc-channels 128"
    )


def recalls(vectors: Vectors, same_class: bool = False) -> dict[str, Any]:
    """Computes recall for every pair of modalities, view, direction and rank.

    Args:
        vectors: vectors of clips.
        same_class: whether any clip of the same class is correct, instead of the partner only.

    Returns:
        Pair "a-b", in alphabetical order, to view to direction ("forward": queries of a) to "R@k"
        to a fraction; the view "chance" is that of a random order.

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
    """Computes recall at k, the mean over queries.

    Args:
        right: (clips, clips) bool.
        scores: (clips, clips).
        k: number of candidates that count.
        direction: "forward", rows are queries, or "backward", columns are.

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
    """Computes the cosine of every two vectors; equal vectors give equal cosines, bit by bit.

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
    # Each distinct vector once: the order of a sum may depend on its place in a large product.
    (rows, row), (columns, column) = (
        np.unique(unit, axis=0, return_inverse=True) for unit in (unit_a, unit_b)
    )
    return (rows @ columns.T)[np.ravel(row)[:, None], np.ravel(column)]


def best_masks(found: Mapping[str, Any], masks: Sequence[str]) -> dict[str, str]:
    """Returns the mask with the largest mean recall for each pair; the first of equals.

    Args:
        found: as `recalls` returns it.
        masks: names of the views to choose from.

    Returns:
        Pair to name.
    """
    return {pair: max(masks, key=lambda name: mean(views[name])) for pair, views in found.items()}


def mean(view: Mapping[str, Mapping[str, float]], rank: str | None = None) -> float:
    """Returns the mean over directions, and over ranks unless one is named.

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
