"""What FCID's loss is made of, for any set of modalities."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from tests.helpers import numpy_reference
from tests.helpers.small_fcid import compiled_fcid, small_batch, small_fcid

SUBSETS = [
    ("audio",),
    ("video",),
    ("text",),
    ("audio", "video"),
    ("audio", "text"),
    ("video", "text"),
    ("audio", "video", "text"),
    ("text", "audio"),
    ("audio", "depth"),
    ("imu", "text"),
    ("audio", "video", "depth", "imu", "text"),
]


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses_of(model, batch):
    """All losses of a batch without training, as floats."""
    losses = model.main_losses(model.prepare_step(batch))
    return {name: float(array(value)) for name, value in losses.items()}


@pytest.mark.parametrize("modalities", SUBSETS, ids="-".join)
def test_any_set_of_modalities_trains(modalities):
    model, batch = compiled_fcid(modalities), small_batch(modalities)
    history = model.fit(batch, batch_size=2, epochs=2, verbose=0).history
    assert set(history) == {"loss", *model.log_keys}
    assert np.isfinite(list(history.values())).all()
    for name in modalities:
        codes = model.backbone.encode(name, batch[name])
        assert tuple(codes["indices"].shape) == batch[name].shape[:2]
        clips = model.backbone.encode(name, batch[name], level="clip")
        assert tuple(clips["quantized"].shape) == (4, 8)


@pytest.mark.parametrize(
    "modalities, terms",
    [
        (("audio",), {"fine_reconstruction", "coarse_reconstruction", "commitment", "club_audio"}),
        (("text",), {"coarse_reconstruction", "commitment"}),
        (
            ("audio", "video"),
            {"fine_reconstruction", "coarse_reconstruction", "commitment", "cpc"}
            | {"club_audio", "club_video", "club_audiovisual"},
        ),
        (
            ("audio", "text"),
            {"fine_reconstruction", "coarse_reconstruction", "commitment", "infonce"}
            | {"club_audio", "club_coarse_audio", "club_text"},
        ),
        (
            ("audio", "video", "text"),
            {"fine_reconstruction", "coarse_reconstruction", "commitment", "cpc", "infonce"}
            | {"club_audio", "club_video", "club_audiovisual", "club_text"},
        ),
    ],
    ids=str,
)
def test_terms_follow_the_modalities(modalities, terms):
    assert set(small_fcid(modalities).loss_names) == terms


def test_total_is_the_weighted_sum_of_the_terms():
    weights = {"cpc": 2.0, "commitment": 0.5, "code_matching": 3.0, "club_text": 0.25}
    model, batch = small_fcid(loss_weights=weights), small_batch()
    losses = losses_of(model, batch)
    expected = sum(weights.get(name, 1.0) * losses[name] for name in model.loss_names)
    assert losses["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", ["fine_reconstruction", "cpc", "infonce", "club_video"])
def test_weight_zero_drops_a_term_and_leaves_the_others(term):
    batch = small_batch()
    full, ablated = small_fcid(), small_fcid(loss_weights={term: 0.0})
    full(batch)
    ablated(batch)
    for name in full.backbone.modalities:
        assert name in ablated.backbone.general_encoders
    ablated.backbone.set_weights(full.backbone.get_weights())
    assert term not in losses_of(ablated, batch)
    assert losses_of(ablated, batch)["commitment"] == pytest.approx(
        losses_of(full, batch)["commitment"], rel=1e-5
    )
    assert ablated.count_params() < full.count_params() or term == "infonce"


def test_unknown_term_is_refused():
    with pytest.raises(ValueError, match=r"`loss_weights` must name terms of .*'reconstruktion'"):
        small_fcid(loss_weights={"reconstruktion": 1.0})


def test_terms_equal_the_loops():
    model, batch = small_fcid(), small_batch()
    losses, features = losses_of(model, batch), model(batch)
    coarse = {m: array(features["coarse_general"][m]) for m in batch}
    codes = {m: array(features["codes"][m]) for m in batch}
    commitment = 0.0
    for m in batch:
        commitment += 2 * 0.25 * np.mean((coarse[m] - codes[m]) ** 2)
        for other in set(batch) - {m}:
            commitment += 0.5 * 0.25 * np.mean((coarse[m] - codes[other]) ** 2)
    assert losses["commitment"] == pytest.approx(commitment, rel=1e-4)

    def unit(v):
        return v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)

    infonce = 0.0
    for m in ("audio", "video"):
        logits = unit(coarse[m]) @ unit(coarse["text"]).T / 0.1
        infonce += numpy_reference.cross_entropy(logits) / 2
        infonce += numpy_reference.cross_entropy(logits.T) / 2
    assert losses["infonce"] == pytest.approx(infonce, rel=1e-3)
    fine = 0.0
    for m in ("audio", "video"):
        rebuilt = model.fine_decoders[m](features["fine_general"][m], features["fine_specific"][m])
        fine += np.mean((array(rebuilt) - batch[m]) ** 2)
    assert losses["fine_reconstruction"] == pytest.approx(fine, rel=1e-4)
    q = model.estimators["club_video"](
        features["fine_general"]["video"], features["fine_summary"]["video"]
    )
    bound = numpy_reference.club_upper_bound(
        array(q["mean"]), array(q["log_variance"]), array(features["fine_summary"]["video"])
    )
    assert losses["club_video"] == pytest.approx(bound, rel=1e-3, abs=1e-6)


def test_draws_can_be_passed_in():
    options = {"club": {"negatives": "permutation"}}
    model, batch = small_fcid(("audio", "video"), **options), small_batch(("audio", "video"))
    drawn = {
        "cpc_time": np.int32(3),
        "club_audio": np.array([1, 0, 3, 2]),
        "club_video": np.array([2, 3, 0, 1]),
        "club_audiovisual": np.array([1, 2, 3, 4, 5, 6, 7, 0]),
    }
    once = losses_of(model, {**batch, "draws": drawn})
    assert once == losses_of(model, {**batch, "draws": drawn})
    logits = model.cpc_predictor(
        {m: model(batch)["fine_general"][m] for m in ("audio", "video")}, time=3
    )
    weights = {True: 0.1, False: 1.0}
    expected = 0.0
    for pair, value in logits.items():
        source, target = pair.split("->")
        expected += weights[source == target] * numpy_reference.cross_entropy(array(value)[0].T)
    assert once["cpc"] == pytest.approx(expected, rel=1e-4)
    other = losses_of(model, {**batch, "draws": {**drawn, "club_audio": np.array([2, 3, 1, 0])}})
    assert other["club_audio"] != once["club_audio"]
    assert other["club_video"] == once["club_video"]


def test_draws_reach_the_train_step():
    def batches():
        for time in (1, 5, 8):
            draws = {"cpc_time": np.int32(time)}
            yield ({**small_batch(("audio", "video")), "draws": draws},)

    model = compiled_fcid(("audio", "video"))
    history = model.fit(batches(), steps_per_epoch=3, shuffle=False, verbose=0).history
    assert np.isfinite(history["cpc"]).all()


def test_draws_differ_from_step_to_step():
    model = compiled_fcid(("audio", "video"))
    batch = small_batch(("audio", "video"))
    model.fit(batch, epochs=3, verbose=0)
    assert int(array(model.step_counter)) == 3
    model.evaluate(batch, verbose=0)
    assert int(array(model.step_counter)) == 3


@pytest.mark.parametrize("modalities", [("audio",), ("audio", "video", "text")], ids="-".join)
def test_a_batch_of_one_clip_trains(modalities):
    model = compiled_fcid(modalities)
    history = model.fit(small_batch(modalities, clips=1), epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all()


def test_one_code_trains():
    model = compiled_fcid(backbone={"num_embeddings": 1}, loss_weights={"code_matching": 1.0})
    history = model.fit(small_batch(), epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert history["perplexity"][-1] == pytest.approx(1.0)
    assert history["code_agreement"][-1] == 1.0


@pytest.mark.parametrize("value", [0.0, 1.0, 1e4])
def test_equal_features_train(value):
    batch = {name: np.full_like(x, value) for name, x in small_batch().items()}
    model = compiled_fcid(loss_weights={"code_matching": 1.0})
    history = model.fit(batch, epochs=3, verbose=0).history
    assert np.isfinite(list(history.values())).all()


def test_equal_clips_give_the_log_of_the_batch():
    batch = {name: np.repeat(x[:1], 4, axis=0) for name, x in small_batch().items()}
    losses = losses_of(small_fcid(cpc_self_weight=0.0), batch)
    assert losses["infonce"] == pytest.approx(2 * math.log(4), rel=1e-4)
    assert losses["cpc"] == pytest.approx(2 * math.log(4), rel=1e-4)
    assert losses["club_audio"] == pytest.approx(0.0, abs=1e-4)


def test_masked_words_have_no_influence():
    model, batch = small_fcid(), small_batch()
    batch["text_mask"] = np.array([[1, 1, 1, 0, 0]] * 4, "float32")
    before = losses_of(model, batch)
    batch["text"] = batch["text"].copy()
    batch["text"][:, 3:] = 50.0
    after = losses_of(model, batch)
    assert after == pytest.approx(before, rel=1e-4)
    ignoring = small_fcid(backbone={"use_masks": False})
    assert losses_of(ignoring, batch)["infonce"] != pytest.approx(after["infonce"], rel=1e-4)


def test_a_mask_may_be_boolean():
    model, batch = compiled_fcid(("audio", "text")), small_batch(("audio", "text"))
    batch["text_mask"] = np.array([[1, 1, 1, 0, 0]] * 4, "bool")
    assert np.isfinite(model.fit(batch, verbose=0).history["loss"]).all()


def test_segment_level_quantisation_uses_codes_per_segment():
    model, batch = compiled_fcid(backbone={"quantize_level": "segment"}), small_batch()
    model.fit(batch, verbose=0)
    indices = model.backbone(batch)["indices"]
    assert {m: tuple(v.shape) for m, v in indices.items()} == {
        "audio": (4, 10),
        "video": (4, 10),
        "text": (4,),
    }


def test_segment_infonce_is_that_of_fine_features_in_step():
    model = compiled_fcid(loss_weights={"segment_infonce": 2.0}, infonce_temperature=0.2)
    batch = small_batch()
    losses, fine = losses_of(model, batch), model(batch)["fine_general"]
    both = model.infonce_symmetric
    each = [
        keras_cmg.ops.info_nce(fine["audio"][:, t], fine["video"][:, t], 0.2, both)
        for t in range(10)
    ]
    expected = float(np.mean([float(array(loss)) for loss in each]))
    assert losses["segment_infonce"] == pytest.approx(expected, rel=1e-4)
    without = {k: v for k, v in losses.items() if k in model.loss_weights}
    total = sum(model.loss_weights[name] * value for name, value in without.items())
    assert losses["loss"] == pytest.approx(total, rel=1e-5)


def test_segment_infonce_of_clips_of_two_lengths_takes_what_both_have():
    model = compiled_fcid(("audio", "video"), loss_weights={"segment_infonce": 1.0})
    batch = small_batch(("audio", "video"))
    batch["audio"] = batch["audio"][:, :7]
    assert np.isfinite(model.fit(batch, verbose=0).history["segment_infonce"]).all()


def test_segment_infonce_leaves_out_clips_without_sound():
    model = small_fcid(loss_weights={"segment_infonce": 1.0})
    batch = small_batch()
    mask = np.ones((4, 10), "float32")
    mask[3] = 0
    batch["audio_mask"] = batch["video_mask"] = mask
    found = losses_of(model, batch)["segment_infonce"]
    kept = {name: value[:3] for name, value in batch.items()}
    assert found == pytest.approx(losses_of(model, kept)["segment_infonce"], rel=1e-4)


def test_a_keras_model_takes_the_place_of_an_encoder():
    def encoder():
        return keras.Sequential(
            [keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(8, name="b")]
        )

    specific = keras_cmg.layers.SequenceSpecificEncoder(3)
    model = compiled_fcid(
        ("audio", "text"),
        backbone={"encoders": {"audio": encoder()}, "specific_encoders": {"audio": specific}},
    )
    batch = small_batch(("audio", "text"))
    model.fit(batch, verbose=0)
    assert tuple(model(batch)["fine_specific"]["audio"].shape) == (4, 10, 3)
    before = array(model.backbone.general_encoders["audio"].layers[0].kernel)
    model.fit(batch, verbose=0)
    assert not np.allclose(before, array(model.backbone.general_encoders["audio"].layers[0].kernel))


def test_estimators_learn_their_phase_and_the_main_optimiser_leaves_them_alone():
    model, batch = small_fcid(("audio",)), small_batch(("audio",))
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.0))
    model.fit(batch, verbose=0)
    estimator = model.estimators["club_audio"]
    before = [array(v) for v in estimator.trainable_variables]
    encoder = array(model.backbone.general_encoders["audio"].projection.kernel)
    model.fit(batch, verbose=0)
    for old, new in zip(before, estimator.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, array(new))
    assert not np.allclose(
        encoder, array(model.backbone.general_encoders["audio"].projection.kernel)
    )
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.1))
    encoder = array(model.backbone.general_encoders["audio"].projection.kernel)
    model.fit(batch, verbose=0)
    np.testing.assert_array_equal(
        encoder, array(model.backbone.general_encoders["audio"].projection.kernel)
    )
    assert any(
        not np.array_equal(old, array(new))
        for old, new in zip(before, estimator.trainable_variables, strict=True)
    )


def test_estimators_fit_improves_with_their_steps():
    def nll(steps):
        model = compiled_fcid(("audio",), estimator_steps=steps)
        return model.fit(small_batch(("audio",)), epochs=3, verbose=0).history["club_audio_nll"][-1]

    assert nll(10) < nll(1)


def test_evaluation_and_encoding_move_nothing():
    model, batch = compiled_fcid(), small_batch()
    model.fit(batch, verbose=0)
    before = [array(v) for v in model.weights]
    model.evaluate(batch, verbose=0)
    model.backbone.encode("audio", batch["audio"])
    model.predict(batch, verbose=0)
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, array(new))


def test_permuting_clips_permutes_codes():
    model, batch, order = small_fcid(), small_batch(), np.array([2, 0, 3, 1])
    shuffled = {name: x[order] for name, x in batch.items()}
    for name, indices in model(batch)["indices"].items():
        np.testing.assert_array_equal(
            array(indices)[order], array(model(shuffled)["indices"][name])
        )


@pytest.mark.filterwarnings("ignore:.*softmax over axis 3:UserWarning")
def test_segment_codes_are_clip_codes_of_one_frame():
    """Without attention between frames, a segment alone is a clip of one frame."""
    model, batch = small_fcid(), small_batch()
    model(batch)
    segment = model.backbone.encode("audio", batch["audio"][:, :1])
    clip = model.backbone.encode("audio", batch["audio"][:, :1], level="clip")
    np.testing.assert_allclose(
        array(segment["general"])[:, 0], array(clip["general"]), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"infonce_pairs": "some"}, "`infonce_pairs` must be one of .*'some'"),
        ({"estimator_steps": 0}, "`estimator_steps` must be at least 1"),
        ({"backbone": {"quantize_level": "word"}}, "`quantize_level` must be .*'word'"),
        ({"backbone": {"fine": ("smell",)}}, "`fine` must name modalities of .*'smell'"),
        ({"modalities": ()}, "`modalities` must hold at least one name"),
        ({"modalities": ("audio", "audio")}, "`modalities` must hold .* each once"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        small_fcid(**arguments)


def test_unknown_preset_is_named():
    with pytest.raises(ValueError, match=r"`preset` must be one of .*'huge'"):
        keras_cmg.models.FCID.from_preset("huge")


@pytest.mark.parametrize(
    "preset, off",
    [
        ("paper", {"code_matching", "segment_infonce", "code_prediction"}),
        ("reference", {"segment_infonce", "code_prediction"}),
        ("small", {"segment_infonce", "code_prediction"}),
        ("disentangled", {"code_prediction"}),
        ("plus", {"commitment", "cpc", "code_matching"}),
    ],
)
def test_presets_say_which_terms_are_off(preset, off):
    model = keras_cmg.models.FCID.from_preset(preset)
    of_micu = {"masked_frame_infonce", "masked_clip_infonce", "jigsaw"}
    assert set(model.default_loss_weights()) - set(model.loss_names) == off | of_micu
