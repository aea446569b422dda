"""Probes of every pair of modalities, on made-up codes whose scores are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

import keras_cmg
from recipes.protocol import cross_modal_probes
from recipes.protocol.cross_modal_probes import probe_pairs
from recipes.protocol.linear_probes import Labelled

CLASSES = 3
SIZES = {"train": 60, "val": 12, "test": 30}


def one_hot(classes: np.ndarray, shift: int = 0) -> np.ndarray:
    return np.eye(CLASSES, dtype="float32")[(classes + shift) % CLASSES]


def in_one_segment(codes: np.ndarray) -> np.ndarray:
    """Four segments, of which only one has the code."""
    segments = np.zeros((len(codes), 4, codes.shape[1]), "float32")
    segments[np.arange(len(codes)), np.arange(len(codes)) % 4] = codes
    return segments


def labels_of(classes: np.ndarray, frames: int) -> np.ndarray:
    labels = np.zeros((len(classes), frames, CLASSES + 1), "float32")
    labels[np.arange(len(classes)), :, classes] = 1
    return labels


def clips(split: str, modality: str, shift: int = 0, wrong: int = 0) -> Labelled:
    """Codes of audio in one segment of a clip, of text for the clip."""
    y = np.arange(SIZES[split]) % CLASSES
    codes = one_hot(y, shift)
    x = in_one_segment(codes) if modality == "audio" else codes[:, None]
    return Labelled({"codes": x}, labels_of((y + wrong) % CLASSES, x.shape[1]))


def sources(*names: str) -> dict:
    return {name: (clips("train", name), clips("val", name)) for name in names}


@pytest.mark.every_engine
def test_shared_codes_carry_over_between_modalities() -> None:
    targets = {name: clips("test", name) for name in ("audio", "text")}
    found = probe_pairs(sources("audio", "text"), targets, epochs=3, batch_size=20)
    pairs = ("audio->audio", "audio->text", "text->audio", "text->text")
    assert found.scores == {"codes": dict.fromkeys(pairs, 1.0)}


def test_codes_of_another_meaning_do_not() -> None:
    targets = {"audio": clips("test", "audio"), "text": clips("test", "text", shift=1)}
    found = probe_pairs(sources("audio"), targets, epochs=3, batch_size=20)
    assert found.scores["codes"] == {"audio->audio": 1.0, "audio->text": 0.0}


def test_a_source_is_probed_as_if_alone() -> None:
    targets = {"text": clips("test", "text")}
    together = probe_pairs(sources("audio", "text"), targets, epochs=3, batch_size=20)
    alone = probe_pairs(sources("text"), targets, epochs=3, batch_size=20)
    assert together.scores["codes"]["text->text"] == alone.scores["codes"]["text->text"]
    assert together.epochs["codes"]["text"] == alone.epochs["codes"]["text"]


def test_test_clips_do_not_choose_the_epoch() -> None:
    first = probe_pairs(sources("text"), {"text": clips("test", "text")}, 3, batch_size=20)
    wrong = {"text": clips("test", "text", wrong=1)}
    second = probe_pairs(sources("text"), wrong, 3, batch_size=20)
    assert (first.validation, first.epochs) == (second.validation, second.epochs)
    assert set(second.scores["codes"].values()) == {0.0}


def test_the_probe_returned_has_the_scores_reported() -> None:
    targets = {"audio": clips("test", "audio")}
    found = probe_pairs(sources("text"), targets, epochs=2, batch_size=20)
    logits = found.probes["codes"]["text"].predict(targets["audio"].views["codes"], verbose=0)
    right = logits.argmax(axis=-1) == np.arange(SIZES["test"]) % CLASSES
    assert right.mean() == found.scores["codes"]["text->audio"]


def test_toc_view_holds_the_chosen_channels() -> None:
    mask = keras_cmg.layers.TOCChannelMask(2)
    mask.adapt(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
    x = np.arange(6, dtype="float32").reshape(2, 3)
    views = cross_modal_probes.code_views({"quantized": x, "general": -x}, {"2": mask})
    assert views["2"][:, 0].tolist() == x[:, mask.channel_indices].tolist()
    assert views["continuous"][:, 0].tolist() == (-x).tolist()


def test_a_model_without_codes_has_no_masks() -> None:
    assert cross_modal_probes.toc_masks((4, 2), None) == {}
    with pytest.raises(ValueError, match=r"--toc-channels must lie between 1 and 8\. Received: 9"):
        cross_modal_probes.toc_masks((4, 9), [np.eye(8)])
