"""What is special about each peer: its terms by hand, its state, its switches."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg import ops as cmg
from tests.helpers import numpy_reference
from tests.helpers.small_systems import batch, compiled_system, small_system

X = batch(clips=4)


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses_of(model, x):
    return {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def clips_of(model, kind="general"):
    return {m: array(v).mean(axis=1) for m, v in model(X)[kind].items()}


def two_way(logits):
    return (numpy_reference.cross_entropy(logits) + numpy_reference.cross_entropy(logits.T)) / 2


def test_vanilla_contrasts_clips():
    model = small_system("vanilla")
    found, clips = losses_of(model, X), clips_of(model)
    logits = unit(clips["audio"]) @ unit(clips["text"]).T / model.temperature
    assert found["alignment"] == pytest.approx(two_way(logits), rel=1e-4)
    features = model(X)
    expected = sum(
        0.25 * np.mean((array(features["general"][m]) - array(features["codes"][m])) ** 2)
        for m in X
    )
    assert found["commitment"] == pytest.approx(expected, rel=1e-4)


def test_vanilla_distils_codes():
    model = small_system("vanilla", alignment="distillation")
    found, features = losses_of(model, X), model(X)
    codes = model.backbone.codebook
    p, q = (numpy_reference.code_probabilities(array(features["general"][m]), codes) for m in X)
    expected = -(np.sum(q * np.log(p)) + np.sum(p * np.log(q))) / 2 / len(p)
    assert found["alignment"] == pytest.approx(expected, rel=1e-4)
    history = compiled_system("vanilla", alignment="distillation").fit(X, verbose=0).history
    assert np.isfinite(history["alignment"]).all()


def test_cmcm_matches_frames_and_pooled_features_after_its_warm_start():
    model = compiled_system("cmcm", warm_start_steps=2)
    logs = [model.fit(X, batch_size=4, verbose=0).history for _ in range(4)]
    assert [log["fine_matching"][0] > 0 for log in logs] == [False, False, True, True]
    assert [log["pooled_matching"][0] > 0 for log in logs] == [False, False, True, True]
    assert logs[0]["loss"][0] == pytest.approx(
        logs[0]["contrastive"][0] + logs[0]["commitment"][0], rel=1e-5
    )
    warm = small_system("cmcm", warm_start_steps=0)
    found, general, codes = losses_of(warm, X), warm(X)["general"], warm.backbone.codebook
    for term, value in (
        ("fine_matching", {m: array(v) for m, v in general.items()}),
        ("pooled_matching", {m: array(v).mean(axis=1) for m, v in general.items()}),
    ):
        p, q = (numpy_reference.code_probabilities(value[m], codes) for m in X)
        scores = numpy_reference.code_matching_logits(p, q)
        expected = 0.5 * numpy_reference.cross_entropy(scores)
        assert found[term] == pytest.approx(expected, rel=1e-3)


def test_turn_weighs_pairs_by_their_loss():
    modalities = ("audio", "video", "text")
    model, x = small_system("turn", modalities), batch(modalities)
    clips = {m: array(v).mean(axis=1) for m, v in model(x)["general"].items()}
    losses = []
    for a, b in (("audio", "video"), ("audio", "text"), ("video", "text")):
        logits = unit(clips[a]) @ unit(clips[b]).T / model.temperature
        for i in range(4):
            row, column = logits[i], logits[:, i]
            losses.append(
                (np.log(np.exp(row).sum()) + np.log(np.exp(column).sum())) / 2 - logits[i, i]
            )
    rates = np.exp(losses) / np.exp(losses).sum()
    assert losses_of(model, x)["alignment"] == pytest.approx(3 * rates @ losses, rel=1e-3)
    even = losses_of(small_system("turn", modalities, sampling_temperature=1e6), x)
    plain = losses_of(small_system("vanilla", modalities), x)
    assert even["alignment"] == pytest.approx(plain["alignment"], rel=1e-3)


def test_fac_aligns_segments_in_the_fine_space_and_clips_in_the_coarse_one():
    modalities = ("audio", "video", "text")
    model, x = small_system("fac", modalities), batch(modalities)
    found, features = losses_of(model, x), model(x)
    fine = {m: array(features["fine_general"][m]) for m in ("audio", "video")}
    expected = np.mean(
        [two_way(unit(fine["audio"][:, t]) @ unit(fine["video"][:, t]).T / 0.1) for t in range(10)]
    )
    assert found["fine"] == pytest.approx(expected, rel=1e-3)
    coarse = {m: array(v) for m, v in features["coarse_general"].items()}
    expected = sum(
        float(cmg.info_nce(coarse[m], coarse["text"], 0.1, symmetric=True))
        for m in ("audio", "video")
    )
    assert found["coarse"] == pytest.approx(expected, rel=1e-3)
    assert small_system("fac", ("audio", "video")).loss_names == ("fine", "commitment")
    assert small_system("fac", ("audio", "text")).loss_names == ("coarse", "commitment")
    assert not hasattr(model.backbone, "fine_specific_encoders")


def test_fac_segments_must_be_in_step():
    model = small_system("fac", ("audio", "imu"))
    x = batch(("audio", "imu"))
    x["imu"] = x["imu"][:, :7]
    with pytest.raises(ValueError, match=r"same number of frames. .*'imu': 7"):
        model.main_losses(model.prepare_step(x))


def test_codis_students_learn_the_assignments_of_the_others_teachers():
    model = small_system("codis")
    found, features = losses_of(model, X), model(X)
    codes, entropies, costs = model.backbone.codebook, [], []
    plans, log_p = {}, {}
    for m in X:
        taught, general = (array(features[k][m]).reshape(-1, 8) for k in ("teacher", "general"))
        np.testing.assert_allclose(np.linalg.norm(general, axis=1), 1, rtol=1e-4)
        scores = taught @ codes.T
        plan = array(cmg.sinkhorn(scores, 0.05, 5))
        plans[m] = plan / plan.sum(axis=1, keepdims=True)
        costs.append(np.sum(plan * (1 - scores)))
        logits = general @ codes.T / 0.1
        log_p[m] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    for student, teacher in (("audio", "text"), ("text", "audio")):
        entropies.append(-np.mean(np.sum(plans[teacher] * log_p[student], axis=1)))
    assert found["codes"] == pytest.approx(sum(entropies) / 2, rel=1e-3)
    assert found["transport"] == pytest.approx(np.mean(costs), rel=1e-3)
    clips = {k: {m: array(features[k][m]).mean(axis=1) for m in X} for k in ("general", "teacher")}
    expected = sum(
        two_way(unit(clips["general"][a]) @ unit(clips["teacher"][b]).T / model.temperature)
        for a in X
        for b in X
    )
    assert found["infonce"] == pytest.approx(expected / 2, rel=1e-3)


def test_codis_teacher_follows_in_training_alone_and_prototypes_move():
    model = compiled_system("codis", momentum=0.5)
    model.fit(X, verbose=0)
    averages = [array(v) for v in model.teacher.averages]
    model.evaluate(X, verbose=0)
    for old, new in zip(averages, model.teacher.averages, strict=True):
        np.testing.assert_array_equal(old, array(new))
    students = [array(v) for v in model.teacher.followed]
    before = model.backbone.codebook
    model.fit(X, batch_size=4, verbose=0)
    for old, student, new in zip(averages, students, model.teacher.averages, strict=True):
        np.testing.assert_allclose(array(new), (old + student) / 2, rtol=1e-4, atol=1e-6)
    assert np.abs(model.backbone.codebook - before).max() > 0


def test_simmmdg_uses_labels_where_there_are_any():
    model = small_system("simmmdg")
    clips = clips_of(model)
    stacked = np.concatenate([clips["audio"], clips["text"]])

    def expected(groups):
        same = np.equal.outer(np.tile(groups, 2), np.tile(groups, 2))
        return float(cmg.supervised_contrastive_loss(stacked, same, model.temperature))

    labels = np.zeros((4, 10, 4))
    for clip, event in enumerate((0, 2, 0, 1)):
        labels[clip, 3, event] = 1
    assert losses_of(model, X)["contrastive"] == pytest.approx(expected(range(4)), rel=1e-4)
    labelled = losses_of(model, {**X, "labels": labels})["contrastive"]
    assert labelled == pytest.approx(expected([0, 2, 0, 1]), rel=1e-4)
    blind = small_system("simmmdg", use_labels=False)
    assert losses_of(blind, {**X, "labels": labels}) == losses_of(blind, X)
    model = compiled_system("simmmdg")
    history = model.fit({**X, "labels": labels.astype("float32")}, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_simmmdg_splits_repels_and_translates():
    model = small_system("simmmdg", normalized_distance=False)
    found, features = losses_of(model, X), model(X)
    shared, specific = clips_of(model), clips_of(model, "specific")
    distance = -np.mean([np.mean((shared[m] - specific[m]) ** 2) for m in X])
    assert found["distance"] == pytest.approx(distance, rel=1e-4)
    whole = {m: np.concatenate([shared[m], specific[m]], axis=1) for m in X}
    errors = [
        np.mean((array(model.mlps[f"{a}->{b}"](whole[a])) - whole[b]) ** 2)
        for a, b in (("audio", "text"), ("text", "audio"))
    ]
    assert found["translation"] == pytest.approx(np.mean(errors), rel=1e-4)
    encoded = model.backbone.encode("audio", X["audio"])
    np.testing.assert_allclose(
        array(encoded["general"]), array(features["general"]["audio"]), rtol=1e-5, atol=1e-6
    )


def test_simmmdg_has_no_codes_and_says_so():
    model = small_system("simmmdg")
    assert model.backbone.codebook is None
    with pytest.raises(ValueError, match=r"TOC needs codes, and SimMMDG has none: .* continuous"):
        model.backbone.require_codebook("TOC")
    with pytest.raises(ValueError, match=r"None\. .*SimMMDG, have no codebook, and TOC does not"):
        keras_cmg.layers.TOCChannelMask(2).adapt(model.backbone.codebook)
    for setting in ({"num_embeddings": 4}, {"quantizer": {}}):
        with pytest.raises(ValueError, match="SimMMDG has no codebook"):
            small_system("simmmdg", backbone=setting)


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("vanilla", {"alignment": "magic"}, "`alignment` must be one of .*'magic'"),
        ("vanilla", {"temperature": 0.0}, "`temperature` must be positive"),
        ("simmmdg", {"temperature": -1.0}, "`temperature` must be positive"),
        ("cmcm", {"warm_start_steps": -1}, "`warm_start_steps` must not be negative"),
        ("cmcm", {"code_matching_kind": "x"}, "`code_matching_kind` must be one of .*'x'"),
        ("turn", {"sampling_temperature": 0}, "`sampling_temperature` must be positive"),
        ("codis", {"code_temperature": 0}, "`code_temperature` must be positive"),
        ("codis", {"transport_temperature": 0}, "`transport_temperature` must be positive"),
        ("codis", {"momentum": 1.0}, "`momentum` must lie in"),
    ],
)
def test_bad_settings_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        small_system(name, **arguments)


def test_codes_of_a_peer_may_be_mixed_or_not():
    apart = small_system("cmcm").backbone.quantizer
    mixed = small_system("cmcm", backbone={"quantizer": {"mix_modalities": True}})
    assert (apart.mix_modalities, mixed.backbone.quantizer.mix_modalities) == (False, True)
    codebook = keras_cmg.layers.Codebook(
        1, 1, decay=0.0, mix_modalities=False, dead_code_patience=None
    )
    codebook({"a": np.zeros((1, 1)), "v": np.ones((1, 1))}, training=True)
    assert float(array(codebook.codebook)[0, 0]) == pytest.approx(1.0, abs=1e-4)
    assert (
        keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(codebook)
        ).mix_modalities
        is False
    )
