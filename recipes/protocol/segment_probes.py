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
        if train.codes.get("indices") is not None and train.codes["indices"].ndim == 2:
            answers["identities"] = classes_of_codes(
                train, {name: test.codes["indices"] for name, test in tests.items()}
            )
        for view, by_target in answers.items():
            for name, classes in by_target.items():
                pair = f"{source}->{name}"
                found.setdefault(view, {})[pair] = segment_f1(tests[name].labels, classes)
    return found


def classes_of_codes(train: Encoded, indices: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the class of each segment by its code alone.

    Args:
        train: labelled training clips of one modality, with `indices`.
        indices: modality to int (clips, frames) codes.

    Returns:
        Modality to int (clips, frames) classes; a code that training does not use is background.

    Example:

    >>> labels = np.array([[[1, 0], [0, 1]]])
    >>> train = Encoded({"indices": np.array([[4, 2]])}, labels, 0, None)
    >>> classes_of_codes(train, {"video": np.array([[2, 4, 3]])})["video"].tolist()
    [[1, 0, 1]]
    """
    used, place = np.unique(train.codes["indices"], return_inverse=True)
    classes = train.labels.argmax(axis=-1)
    counts = np.zeros((len(used), train.labels.shape[-1]))
    np.add.at(counts, (place.reshape(-1), classes.reshape(-1)), 1)
    names = np.append(counts.argmax(axis=1), counts.shape[1] - 1)
    return {name: names[_places(used, index)] for name, index in indices.items()}


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
