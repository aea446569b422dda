"""Probes on made-up codes whose scores are known beforehand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import keras_cmg
from recipes.protocol import probing

CLASSES = 3
SIZES = {"train": 60, "val": 12, "test": 30}


def labels() -> dict[str, np.ndarray]:
    return {split: np.arange(size) % CLASSES for split, size in SIZES.items()}


def one_hot(classes: np.ndarray, shift: int = 0) -> np.ndarray:
    return np.eye(CLASSES, dtype="float32")[(classes + shift) % CLASSES]


def in_one_segment(codes: np.ndarray) -> np.ndarray:
    """Four segments, of which only one has the code."""
    segments = np.zeros((len(codes), 4, codes.shape[1]), "float32")
    segments[np.arange(len(codes)), np.arange(len(codes)) % 4] = codes
    return segments


def shared_codes(**shifts: int) -> dict:
    """Codes by split: audio in one segment of a clip, text for the clip."""
    return {
        split: {
            "audio": {"codes": in_one_segment(one_hot(y, shifts.get("audio", 0)))},
            "text": {"codes": one_hot(y, shifts.get("text", 0))},
        }
        for split, y in labels().items()
    }


@pytest.mark.every_engine
def test_shared_codes_carry_over_between_modalities() -> None:
    found = probing.cross_modal_probes(shared_codes(), labels(), CLASSES, epochs=3, batch_size=20)
    pairs = ("audio->audio", "audio->text", "text->audio", "text->text")
    assert found.scores == {"codes": dict.fromkeys(pairs, 1.0)}


def test_codes_of_another_meaning_do_not() -> None:
    found = probing.cross_modal_probes(
        shared_codes(text=1), labels(), CLASSES, epochs=3, batch_size=20
    )
    assert found.scores["codes"] == {
        "audio->audio": 1.0,
        "audio->text": 0.0,
        "text->audio": 0.0,
        "text->text": 1.0,
    }


def test_probes_trained_together_are_as_if_alone() -> None:
    rng = np.random.default_rng(0)
    noisy = {
        split: {
            name: {"codes": one_hot(y) + rng.normal(size=(len(y), CLASSES)).astype("float32")}
            for name in ("audio", "text")
        }
        for split, y in labels().items()
    }
    alone = {split: {"text": codes["text"]} for split, codes in noisy.items()}
    together = probing.cross_modal_probes(noisy, labels(), CLASSES, epochs=6, batch_size=20)
    single = probing.cross_modal_probes(alone, labels(), CLASSES, epochs=6, batch_size=20)
    assert together.scores["codes"]["text->text"] == single.scores["codes"]["text->text"]
    assert together.validation["codes"]["text"] == single.validation["codes"]["text"]
    assert together.epochs["codes"]["text"] == single.epochs["codes"]["text"]


def test_test_clips_have_no_say_in_the_epoch() -> None:
    codes, classes = shared_codes(), labels()
    first = probing.cross_modal_probes(codes, classes, CLASSES, epochs=3, batch_size=20)
    scrambled = {**classes, "test": (classes["test"] + 1) % CLASSES}
    second = probing.cross_modal_probes(codes, scrambled, CLASSES, epochs=3, batch_size=20)
    assert (first.validation, first.epochs) == (second.validation, second.epochs)
    assert set(second.scores["codes"].values()) == {0.0}


def test_weights_of_the_best_epoch_come_back() -> None:
    probe = keras_cmg.models.LinearProbe(2)
    probe.build((None, 1))
    accuracies = iter([0.2, 0.9, 0.9, 0.5])
    choice = probing.EpochChoice(lambda: {"only": next(accuracies)}, {"only": probe})
    for epoch in range(4):
        probe.set_weights([np.full((1, 2), epoch), np.zeros(2)])
        choice.on_epoch_end(epoch)
    choice.restore()
    assert choice.best["only"][:2] == (0.9, 2)
    assert keras.ops.convert_to_numpy(probe.dense.kernel).tolist() == [[1.0, 1.0]]


def test_toc_view_holds_the_chosen_channels() -> None:
    mask = keras_cmg.layers.TOCChannelMask(2)
    mask.adapt(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    x = np.arange(6, dtype="float32").reshape(2, 3)
    views = probing.code_views({"text": {"quantized": x, "general": -x}}, {"2": mask})["text"]
    assert views["2"].tolist() == x[:, mask.channel_indices].tolist()
    assert views["continuous"].tolist() == (-x).tolist()


def test_bad_codes_are_refused() -> None:
    codes = shared_codes()
    codes["val"]["text"]["codes"][3, 1] = np.nan
    with pytest.raises(ValueError, match=r"`codes` of 'text' in 'val' must be finite"):
        probing.cross_modal_probes(codes, labels(), CLASSES)
    codes["val"]["text"]["codes"] = codes["val"]["text"]["codes"][:3]
    with pytest.raises(ValueError, match=r"one row for each of the clips.*3 rows \(codes\) for 12"):
        probing.cross_modal_probes(codes, labels(), CLASSES)
