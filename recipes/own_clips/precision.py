"""How well clips that took no part in training find clips of other modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import keras_cmg
from recipes.own_clips.preparation import Entries

FIRST = 10
"""Number of clips found that are counted."""
RANKS = (1, 5, 10)


def precision(
    encoder: keras_cmg.CrossModalEncoder,
    index: keras_cmg.search.ClipIndex,
    entries: Sequence[Entries],
) -> dict[str, dict[str, float]]:
    """Measures what test clips of each modality find among the indexed clips of the others.

    Of clips with labels, queries are expanded, see `keras_cmg.search.ClipIndex.expand`, as in
    searches. A clip found is right if it has the query's label; beside it stand chance,
    and the labels of the query's nearest neighbours among the training clips of its own modality by
    their raw features, which needs class names. Of clips without labels, the other modality of the
    same clip is to be found among those of all test clips.

    Args:
        encoder: a trained model.
        index: index of `entries`.
        entries: clips of each modality, with splits.

    Returns:
        "query->found" to `P@10`, `chance`, `neighbours`, `queries` and `clips`; without labels, to
        `R@1`, `R@5`, `R@10`, `chance` (of R@10), `queries` and `clips`. Empty without test clips.
    """
    measured = {}
    for queries in entries:
        test = [at for at, split in enumerate(queries.splits) if split == "test"]
        if not test:
            continue
        names = [queries.names[at] for at in test]
        encoded = encoder.encode(queries.modality, features=queries.features[test], names=names)
        for target in entries:
            if target.modality == queries.modality:
                continue
            pair = f"{queries.modality}->{target.modality}"
            if any(queries.labels):
                found = index.search(index.expand(encoded), target.modality, k=FIRST)
                measured[pair] = _of_labels(queries, target, test, found)
            else:
                measured[pair] = _of_partners(encoder, encoded, target)
    return measured


def _of_labels(queries: Entries, target: Entries, test: list[int], found: Any) -> dict[str, float]:
    labels = np.array(queries.labels)
    wanted = labels[test]
    right = [
        np.mean([hit.label == label for hit in hits] or [False])
        for label, hits in zip(wanted, found, strict=True)
    ]
    gallery = np.array(target.labels)
    return {
        f"P@{FIRST}": float(np.mean(right)),
        "chance": float(np.mean([(gallery == label).mean() for label in wanted])),
        "neighbours": neighbour_precision(queries, test),
        "queries": len(test),
        "clips": len(gallery),
    }


def neighbour_precision(queries: Entries, test: Sequence[int]) -> float:
    """Computes the share of right labels among a query's nearest neighbours by raw features.

    A neighbour's label names the class whose clips would be shown. Features are averaged over the
    frames of a clip, and compared by cosine similarity after the mean of the training clips is
    subtracted.

    Args:
        queries: clips of one modality, with labels and splits.
        test: positions of the queries.

    Returns:
        A fraction.

    Example:

    >>> x = np.repeat(np.eye(2, dtype="float32"), [2, 11], axis=0)[:, None]
    >>> labels, splits = ["a"] * 2 + ["b"] * 11, ["train"] + ["test"] * 2 + ["train"] * 10
    >>> names = [str(number) for number in range(13)]
    >>> clips = Entries("audio", names, x, labels, names, names, splits)
    >>> neighbour_precision(clips, [1]), neighbour_precision(clips, [2])
    (0.1, 1.0)
    """
    vectors = queries.features.mean(axis=1).reshape(len(queries.names), -1)
    known = [at for at, split in enumerate(queries.splits) if split != "test"]
    vectors = vectors - vectors[known].mean(axis=0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-vectors[list(test)] @ vectors[known].T, axis=1)[:, :FIRST]
    labels = np.array(queries.labels)
    return float((labels[known][nearest] == labels[list(test)][:, None]).mean())


def _of_partners(
    encoder: keras_cmg.CrossModalEncoder,
    encoded: keras_cmg.search.EncodedClips,
    target: Entries,
) -> dict[str, float]:
    test = [at for at, split in enumerate(target.splits) if split == "test"]
    few = target._replace(
        names=[target.names[at] for at in test],
        features=target.features[test],
    )
    partners = encoder.new_index()
    partners.add(encoder.encode(target.modality, features=few.features, names=few.names))
    found = partners.search(encoded, target.modality, k=max(RANKS))
    ranks = [
        next((rank for rank, hit in enumerate(hits) if hit.name == name), len(few.names))
        for name, hits in zip(encoded.names, found, strict=True)
    ]
    recalls = {f"R@{k}": float(np.mean([rank < k for rank in ranks])) for k in RANKS}
    chance = min(1.0, max(RANKS) / len(few.names))
    return {**recalls, "chance": chance, "queries": len(ranks), "clips": len(few.names)}
