"""Extractors one by one; those of large models run with random weights, BERT with a small one."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from data_tools.decoding import DecodeError
from data_tools.extraction.audio import VGGish
from data_tools.extraction.extractor import create_extractor
from data_tools.extraction.text import BERT
from data_tools.extraction.video import VGG19, Patches
from data_tools.features import vggish
from tests.helpers import media


@pytest.fixture(scope="module")
def sound_model() -> Iterator[VGGish]:
    """VGGish with random weights and narrow hidden layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vggish.DENSE, "fc1_1", 48)
        patch.setitem(vggish.DENSE, "fc1_2", 32)
        yield VGGish(segments=3, weights="random")


def test_vggish_embeds_each_second(sound_model: VGGish, tmp_path: Path) -> None:
    media.write_sound(tmp_path / "a.flac", 2.0, 44_100)
    signal = sound_model.decode(tmp_path, {"id": "a", "audio": "a.flac"})
    features = sound_model(signal)
    assert features.shape == sound_model.field.shape == (3, 128)
    patches = vggish.patches(signal, 1.0)
    expected = np.asarray(sound_model.model(patches, training=False).detach())
    np.testing.assert_array_equal(features, expected[[0, 1, 1]])
    assert sound_model(signal[:3000]).shape == (3, 128)


def test_vggish_post_processing(sound_model: VGGish, tmp_path: Path) -> None:
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=np.eye(128), pca_means=np.full((128, 1), 0.1))
    with pytest.raises(ValueError, match="`weights` must name a file"):
        VGGish()
    extractor = VGGish(segments=1, weights="random", pca=str(tmp_path / "pca.npz"))
    features = extractor(media.tone(1.0))
    assert set(np.unique(features % 1)) == {0.0}
    assert list(extractor.sources()) == ["pca"]


@pytest.mark.slow
def test_vgg19_gives_its_last_pooled_map(tmp_path: Path) -> None:
    extractor = VGG19(segments=2, weights="random", frames_per_segment=2)
    media.write_video(tmp_path / "a.mp4", media.pictures(8), rate=4)
    signal = extractor.decode(tmp_path, {"id": "a", "video": "a.mp4"})
    assert signal.shape == (4, 224, 224, 3)
    features = extractor(signal)
    assert features.shape == extractor.field.shape == (2, 7, 7, 512)
    pixels = keras.applications.vgg19.preprocess_input(signal[:2].astype("float32"))
    maps = np.asarray(extractor.model(pixels).detach())
    np.testing.assert_allclose(features[0], maps.mean(0), rtol=1e-4, atol=1e-4)
    assert features.std() > 0
    extractor.model.save_weights(tmp_path / "own.weights.h5")
    again = VGG19(segments=2, weights=str(tmp_path / "own.weights.h5"), frames_per_segment=2)
    np.testing.assert_array_equal(again(signal), features)
    assert list(again.sources()) == ["weights"]


def test_missing_weights_of_vgg19() -> None:
    with pytest.raises(FileNotFoundError, match="`weights` must name a file"):
        VGG19(weights="nowhere.weights.h5")


def test_a_still_picture_fills_every_second(tmp_path: Path) -> None:
    extractor = Patches(segments=3, channels=4)
    media.write_frames(tmp_path / "still", 1).joinpath("frame0.png").rename(tmp_path / "a.png")
    signal = extractor.decode(tmp_path, {"id": "a", "video": "a.png"})
    extractor.fit([signal])
    features = extractor(signal)
    assert features.shape == (3, 7, 7, 4)
    np.testing.assert_array_equal(features[0], features[2])


class FakeTokenizer:
    """The part of KerasHub's BertTokenizer that is used: pieces, and the ids of marks."""

    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "dog", "bark", "##s")
    cls_token_id, sep_token_id = 2, 3

    @classmethod
    def from_preset(cls, preset: str) -> FakeTokenizer:
        if preset != "tiny":
            raise OSError(f"no preset {preset}")
        return cls()

    def token_to_id(self, token: str) -> int:
        return self.words.index(token)

    def __call__(self, word: str) -> np.ndarray:
        if word in self.words:
            return np.array([self.words.index(word)])
        if word.removesuffix("s") in self.words:
            return np.array([self.words.index(word.removesuffix("s")), 7])
        return np.array([1])


class FakeBackbone:
    """The part of KerasHub's BertBackbone that is used: vectors that tell id and position."""

    hidden_dim = 4

    @classmethod
    def from_preset(cls, preset: str) -> FakeBackbone:
        return cls()

    def __call__(self, inputs: dict[str, Any], training: bool) -> dict[str, Any]:
        ids = inputs["token_ids"]
        assert inputs["padding_mask"].all() and not inputs["segment_ids"].any()
        assert (ids[0, 0], ids[0, -1]) == (2, 3)
        place = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        vectors = np.stack([ids, place, 0 * ids, 0 * ids + 1], -1).astype("float32")
        return {"sequence_output": keras.ops.convert_to_tensor(vectors)}


def test_words_of_bert_are_means_of_their_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("keras_hub")
    module.models = types.SimpleNamespace(  # type: ignore[attr-defined]
        BertTokenizer=FakeTokenizer, BertBackbone=FakeBackbone
    )
    monkeypatch.setitem(sys.modules, "keras_hub", module)
    extractor = BERT(num_tokens=3, preset="tiny")
    assert extractor("A strange dog barks").tolist() == [
        [4, 1, 0, 1],
        [5, 2, 0, 1],
        [6.5, 3.5, 0, 1],
    ]
    assert extractor("a dog a dog").shape == (3, 4)
    assert extractor("dog").tolist()[1:] == [[0, 0, 0, 0]] * 2
    with pytest.raises(DecodeError, match="no word that BERT knows"):
        extractor("strange")
    with pytest.raises(ValueError, match="'large' could not be loaded: no preset large"):
        BERT(preset="large")


def test_missing_keras_hub_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match="'bert' needs the package 'keras_hub'"):
        create_extractor("text", "bert", {})


def test_bert_of_keras_hub(tmp_path: Path) -> None:
    keras_hub = pytest.importorskip("keras_hub", reason="KerasHub is not installed")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "bark", "##s"]
    keras_hub.models.BertTokenizer(vocabulary=words, lowercase=True).save_to_preset(tmp_path)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(words), num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32
    )
    backbone.save_to_preset(tmp_path)
    extractor = BERT(num_tokens=4, preset=str(tmp_path))
    features = extractor("A strange dog barks")
    assert features.shape == (4, 16)
    tokens = np.array([[2, 5, 6, 7, 8, 3]], "int32")
    ones = np.ones_like(tokens)
    inputs = {"token_ids": tokens, "segment_ids": 0 * ones, "padding_mask": ones}
    outputs = keras.ops.convert_to_numpy(backbone(inputs)["sequence_output"])[0]
    expected = np.stack([outputs[1], outputs[2], outputs[3:5].mean(0), 0 * outputs[0]])
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
