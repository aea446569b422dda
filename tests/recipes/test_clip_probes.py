"""Probes on one vector per clip, on segments, and what they say about codes."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.ops.channel_selection import channel_scores
from recipes.protocol import (
    clip_probes,
    clip_views,
    code_sharing,
    code_use,
    segment_probes,
    toc_criteria,
)
from recipes.protocol.clip_probes import ClipVectors
from recipes.protocol.clips import Encoded
from recipes.reporting import group_intervals
from recipes.training.model_measurement import packed


def clips(
    count: int = 60, seed: int = 0, shift: float = 0.0, noise: float = 0.5, dim: int = 5
) -> ClipVectors:
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    vectors = np.eye(3, dim)[classes] + noise * rng.standard_normal((count, dim)) + shift
    return ClipVectors(vectors, classes, np.ones(count, bool))


def test_a_probe_is_the_regression_of_scikit_learn_at_the_chosen_strength() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    train, val, test = clips(seed=0, shift=7.0), clips(seed=1, shift=7.0), clips(seed=2, shift=7.0)
    probe = clip_probes.train_probe(train, val, 3)
    x = train.vectors - train.vectors.mean(axis=0)
    scale = np.sqrt(np.mean(x**2))
    model = linear.LogisticRegression(C=probe.strength, max_iter=200, tol=1e-3)
    model.fit(x / scale, train.classes)
    expected = model.predict((test.vectors - train.vectors.mean(axis=0)) / scale)
    np.testing.assert_array_equal(probe.predict(test.vectors), expected)
    assert probe.validation == clip_probes.accuracy(probe, val)


def test_the_strength_is_chosen_on_validation_clips() -> None:
    train = clips(12, noise=2.0, dim=40)
    chosen = {
        clip_probes.train_probe(train, clips(30, seed, noise=2.0, dim=40), 3).strength
        for seed in range(1, 8)
    }
    assert len(chosen) > 1


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_scale_of_codes_does_not_matter(factor: float) -> None:
    train, val = clips(seed=0), clips(seed=1)
    one = clip_probes.train_probe(train, val, 3)
    scaled = [each._replace(vectors=factor * each.vectors) for each in (train, val)]
    other = clip_probes.train_probe(*scaled, 3)
    assert one.strength == other.strength
    np.testing.assert_array_equal(one.predict(val.vectors), other.predict(scaled[1].vectors))


def test_clips_without_the_modality_are_neither_learned_nor_counted() -> None:
    train, val = clips(seed=0), clips(seed=1)
    absent = np.arange(60) >= 30
    broken = train._replace(
        vectors=np.where(absent[:, None], 100.0, train.vectors), present=~absent
    )
    half = ClipVectors(train.vectors[:30], train.classes[:30], np.ones(30, bool))
    one, other = (clip_probes.train_probe(each, val, 3) for each in (broken, half))
    np.testing.assert_allclose(one.kernel, other.kernel)
    _, predicted = clip_probes.probe_pairs({"audio": (half, val)}, {"text": broken}, 3)
    assert (predicted["audio->text"][30:] == -1).all()
    with pytest.raises(ValueError, match="`val` must have a clip with the modality"):
        clip_probes.train_probe(train, val._replace(present=np.zeros(60, bool)), 3)


def test_a_class_without_a_label_is_never_answered() -> None:
    train = clips(seed=0)
    two = ClipVectors(*(field[train.classes != 1] for field in train))
    probe = clip_probes.train_probe(two, two, 3)
    assert set(probe.predict(clips(seed=1).vectors)) == {0, 2}


def test_vectors_that_are_all_alike_give_the_most_frequent_class() -> None:
    classes = np.array([0, 1, 1])
    same = ClipVectors(np.ones((3, 2)), classes, np.ones(3, bool))
    assert clip_probes.train_probe(same, same, 2).predict(same.vectors).tolist() == [1, 1, 1]


def test_few_labels_are_the_same_number_of_each_class() -> None:
    few = clip_probes.few_labels(clips(), 4, seed=0)
    assert np.bincount(few.classes).tolist() == [4, 4, 4]
    other = clip_probes.few_labels(clips(), 4, seed=1)
    assert not np.array_equal(few.vectors, other.vectors)


def encoded(indices: np.ndarray, mask: np.ndarray | None = None, dim: int = 2) -> Encoded:
    shape = (*indices.shape, dim)
    codes = {"quantized": np.ones(shape), "general": np.zeros(shape), "indices": indices}
    labels = np.zeros((len(indices), 2, 3))
    labels[..., 0] = 1
    return Encoded(codes, labels, 0, mask)


class FakeClips:
    """Codes that are given, as `EncodedClips` returns them."""

    def __init__(self, codes: dict[str, Encoded], number: int) -> None:
        self.codes, self.levels = codes, {"text": "clip"}
        self.backbone = SimpleNamespace(
            modalities=tuple(codes), quantizer=SimpleNamespace(num_embeddings=number)
        )

    def encoded(self, split: str, modality: str, level: str | None = None) -> Encoded:
        return self.codes[modality]


def test_padding_changes_no_view() -> None:
    mask = np.array([[True, False], [True, True]])
    views = clip_views.views_of(encoded(np.array([[1, 3], [0, 0]]), mask), 4)
    assert views["identities"].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_sharing_weighs_modalities_alike() -> None:
    found = code_sharing.shared_codes(
        FakeClips(
            {
                # A hundred times as many segments of sound as of text.
                "audio": encoded(np.tile([[0], [1]], (100, 1))),
                "text": encoded(np.array([0, 2])),
            },
            3,
        ),
        "test",
    )
    assert found["shares"]["clip"] == pytest.approx({"specific": 0.5, "partial": 0, "shared": 0.5})
    assert found["overlap"]["clip"] == {
        "audio_text": pytest.approx(0.5),
        "mean": pytest.approx(0.5),
    }
    assert found["used"]["clip"] == {"audio": 2, "text": 2}


def test_codes_of_levels_are_counted_one_level_after_another() -> None:
    codes = {
        "quantized": np.ones((1, 2, 4)),
        "general": np.ones((1, 2, 4)),
        "indices": np.array([[[0, 1], [1, 1]]]),
    }
    fake = FakeClips({"audio": Encoded(codes, None, 0, None)}, 2)
    assert code_sharing.counts_of(fake, "test")["audio"].tolist() == [1, 1, 0, 2]
    assert code_sharing.commonest_codes(fake, "test")["audio"].tolist() == [[0, 3]]
    labels = code_sharing.label_counts(fake, "test", np.array([2]))
    assert labels[:, 0, 2].tolist() == [1, 1, 0, 2] and labels.shape == (4, 1, 3)


def test_clips_share_a_code_in_any_group() -> None:
    codes = {"audio": np.array([[0, 4], [1, 5]]), "text": np.array([[2, 6], [3, 4]])}
    classes = np.array([0, 0])
    assert code_use.matching_clips(codes, classes, 8, limit=3) == [(4, {"audio": 0, "text": 1})]
    assert code_use.label_agreement(codes, classes) == 1.0
    assert code_use.label_agreement(codes, np.array([0, 1])) == 0.0
    same = {name: index[:, 0] for name, index in codes.items()}
    assert code_use.label_agreement(same, classes) is None


def test_codes_of_groups_are_zero_in_the_channels_of_others() -> None:
    inner = keras_cmg.layers.Codebook(num_embeddings=3, embedding_dim=2)
    quantizer = keras_cmg.layers.GroupedQuantizer(inner, num_groups=2)
    backbone = keras_cmg.models.FCIDBackbone(("audio",), embedding_dim=4, quantizer=quantizer)
    quantizer.build()
    found = backbone.codebook
    assert found.shape == (6, 4)
    assert not found[:3, 2:].any() and not found[3:, :2].any()
    indices = np.array([2, 1])
    both = found[code_use.numbered(indices, 3, single=False)].sum(axis=0)
    np.testing.assert_array_equal(both, keras.ops.convert_to_numpy(quantizer.decode(indices)))


def test_segments_are_named_by_their_codes_alone() -> None:
    train = encoded(np.array([[0, 1], [1, 0]]))
    train.labels[...] = 0
    train.labels[0, 0, 0] = train.labels[1, 1, 0] = 1
    train.labels[0, 1, 2] = train.labels[1, 0, 2] = 1
    found = segment_probes.classes_of_codes(train, {"video": np.array([[0, 1, 7]])})
    assert found["video"].tolist() == [[0, 2, 2]]


def test_segments_are_named_by_all_of_their_codes() -> None:
    """Neither code is of one class alone; both together are."""
    indices = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]])
    labels = np.eye(4, dtype=int)[[[0, 1, 2, 3]]]
    train = Encoded({"indices": indices, "general": np.ones((1, 4, 2))}, labels, 0, None)
    found = segment_probes.classes_of_codes(train, {"video": indices[:, ::-1]})
    assert found["video"].tolist() == [[3, 2, 1, 0]]


def test_agreement_finds_the_dimensions_that_modalities_share() -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((50, 2))
    paired = {
        name: np.concatenate([rng.standard_normal((50, 2)), shared], axis=1)
        for name in ("audio", "text")
    }
    found = toc_criteria.chosen_channels([np.eye(4)], np.ones(4), paired, 2, seed=0)
    assert sorted(found["agreement"][0].tolist()) == [2, 3]


def test_dimensions_of_groups_are_ranked_together() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.standard_normal((5, 3)) * [3.0, 1.0, 0.2], rng.standard_normal((6, 2))]
    paired = {name: rng.standard_normal((9, 5)) for name in ("audio", "text")}
    counts = rng.integers(1, 9, 11)
    found = toc_criteria.chosen_channels(tables, counts, paired, 2, seed=0)
    scores = [
        channel_scores(codes, uses).importance
        for codes, uses in zip(tables, (counts[:5], counts[5:]), strict=True)
    ]
    best = np.argsort(-np.concatenate(scores))[:2]
    assert sorted(found["usage"][0].tolist()) == sorted(best.tolist())


def test_clips_of_one_recording_count_as_one() -> None:
    """The interval of many clips of few recordings is that of the recordings."""
    right = np.repeat([True, False, True, False], 50)
    alone = group_intervals.clip_weights([[row] for row in range(200)])
    grouped = group_intervals.clip_weights([[row // 50] for row in range(200)])
    widths = []
    for weights in (alone, grouped):
        low, high = group_intervals.percentile_interval(
            group_intervals.mean_draws({"audio->text": right[None]}, {"text": weights})
        )
        widths.append(high - low)
    assert widths[1] > 5 * widths[0]
    assert widths[0] == pytest.approx(2 * 1.96 * 0.5 / 200**0.5, rel=0.1)


def test_flags_survive_packing() -> None:
    flags = np.random.default_rng(0).random(13) > 0.5
    np.testing.assert_array_equal(group_intervals.unpacked(packed(flags), 13), flags)
