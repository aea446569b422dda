"""Probes on single segments: which seconds of a clip have an event, and of which class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recipes.protocol.clip_probes import ClipVectors, train_probe
from recipes.protocol.clips import Encoded
from recipes.protocol.cross_modal_probes import EncodedClips

FINE = ("audio", "video")
"""Modalities whose segments have labels of their own."""
TRAINED = 4000
"""Training segments of a probe at most, spread evenly."""


def segment_scores(encoded: EncodedClips, modalities: Sequence[str]) -> dict[str, dict[str, float]]:
    """Computes the F1 of seconds for every pair of modalities with segments.

    A probe of one modality's segments names the class or the background of each second; its
    strength is chosen on validation segments of the same modality. From identities, a second has
    the class that its code has most often in training.

    Args:
        encoded: codes of the clips.
        modalities: modalities of the model.

    Returns:
        View, "codes" or "identities", to "source->target" to the F1 of seconds, a fraction.
    """
    found: dict[str, dict[str, float]] = {}
    names = [name for name in FINE if name in modalities]
    tests = {name: encoded.encoded("test", name) for name in names}
    for source in names:
        train, val = (encoded.encoded(split, source) for split in ("train", "val"))
        rows = _rows(train)
        few = np.linspace(0, len(rows.classes) - 1, min(TRAINED, len(rows.classes))).astype(int)
        chosen = ClipVectors(*(field[few] for field in rows))
        probe = train_probe(chosen, _rows(val), train.labels.shape[-1])
        answers = {
            "codes": {
                name: probe.predict(_rows(test).vectors).reshape(test.labels.shape[:2])
                for name, test in tests.items()
            }
        }
        if train.codes.get("indices") is not None and train.codes["general"].ndim == 3:
            answers["identities"] = classes_of_codes(
                train, {name: test.codes["indices"] for name, test in tests.items()}
            )
        for view, by_target in answers.items():
            for name, classes in by_target.items():
                pair = f"{source}->{name}"
                found.setdefault(view, {})[pair] = segment_f1(tests[name].labels, classes)
    return found


def classes_of_codes(train: Encoded, indices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the class of each segment by its codes alone.

    A code stands for the classes of the training segments that have it, each with its share; the
    shares of several codes of a segment are added.

    Args:
        train: labelled training clips of one modality, with `indices`.
        indices: modality to int codes (clips, frames), or (clips, frames, levels).

    Returns:
        Modality to int (clips, frames) classes; a code that training does not use is background.

    Example:

    >>> labels = np.array([[[1, 0], [0, 1]]])
    >>> train = Encoded({"indices": np.array([[4, 2]])}, labels, 0, None)
    >>> classes_of_codes(train, {"video": np.array([[2, 4, 3]])})["video"].tolist()
    [[1, 0, 1]]
    """
    classes = train.labels.argmax(axis=-1)
    width = train.labels.shape[-1]

    def by_level(index: np.ndarray) -> np.ndarray:
        return index.reshape(*index.shape[:2], -1)

    votes = {name: np.zeros((*index.shape[:2], width)) for name, index in indices.items()}
    trained = by_level(train.codes["indices"])
    for level in range(trained.shape[-1]):
        used, place = np.unique(trained[..., level], return_inverse=True)
        counts = np.zeros((len(used), width))
        np.add.at(counts, (place.reshape(-1), classes.reshape(-1)), 1)
        shares = np.vstack([counts / counts.sum(axis=1, keepdims=True), np.eye(width)[-1]])
        for name, index in indices.items():
            votes[name] += shares[_places(used, by_level(index)[..., level])]
    return {name: vote.argmax(axis=-1) for name, vote in votes.items()}


def _places(used: np.ndarray, index: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(used, index), len(used) - 1)
    return np.where(used[place] == index, place, len(used))


def segment_f1(labels: np.ndarray, classes: np.ndarray) -> float:
    """Computes the F1 of seconds, without those that are background.

    Args:
        labels: (clips, frames, classes + 1), the last column background.
        classes: int (clips, frames).

    Returns:
        A fraction.

    Example:

    >>> labels = np.array([[[1, 0], [1, 0], [0, 1]]])
    >>> segment_f1(labels, np.array([[0, 1, 1]])) == 2 / 3
    True
    """
    width = labels.shape[-1] - 1
    named = classes[..., None] == np.arange(width)
    right = np.sum(named & (labels[..., :-1] > 0))
    return float(2 * right / max(named.sum() + (labels[..., :-1] > 0).sum(), 1))


def _rows(found: Encoded) -> ClipVectors:
    vectors = found.codes["quantized"]
    classes = found.labels.argmax(axis=-1).reshape(-1)
    flat = vectors.reshape(-1, vectors.shape[-1])
    return ClipVectors(flat, classes, np.ones(len(flat), bool))
