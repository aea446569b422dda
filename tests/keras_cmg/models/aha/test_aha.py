"""AHA: the anchor makes the codes, the others follow, and specific features do not tell codes."""

import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg import ops as cmg
from tests.helpers.small_systems import batch, compiled_system, small_system

MODALITIES = ("audio", "video", "text")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses_of(model, x):
    return {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}


def test_terms_are_those_of_the_anchor_and_each_other_modality():
    model, x = small_system("aha", MODALITIES), batch(MODALITIES)
    found, features = losses_of(model, x), model(x)
    general, codes = (
        {m: array(v) for m, v in features[kind].items()} for kind in ("general", "codes")
    )
    expected = {
        "alignment": sum(
            float(cmg.sliding_info_nce(general["audio"], general[m], 1, 0.1, symmetric=True))
            for m in ("video", "text")
        ),
        "distillation": sum(
            float(cmg.sliding_distance(general[m], codes["audio"], 1)) for m in ("video", "text")
        ),
        "commitment": sum(0.25 * np.mean((general[m] - codes[m]) ** 2) for m in MODALITIES),
    }
    residual = general["audio"] - codes["audio"]
    expected["commitment"] += 0.25 * np.mean(
        (residual - array(features["residual_codes"]["audio"])) ** 2
    )
    for term, value in expected.items():
        assert found[term] == pytest.approx(value, rel=1e-4), term
    logits = array(model.discriminators["text"].mlp(features["summary"]["text"]))
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    indices = array(features["indices"]["text"])
    entropy = -np.take_along_axis(log_p, indices[..., None], axis=-1).mean()
    assert found["adversarial_text"] == pytest.approx(entropy, rel=1e-4)
    accuracy = (logits.argmax(axis=-1) == indices).mean()
    assert found["adversarial_text_accuracy"] == pytest.approx(accuracy)


def test_the_anchor_alone_moves_the_codes():
    x = batch()
    states = []
    for seed in (0, 1):
        model = compiled_system("aha", loss_weights={"distillation": 0.0, "alignment": 0.0})
        text = batch(seed=seed)["text"]
        model.fit({**x, "text": text}, batch_size=4, epochs=2, shuffle=False, verbose=0)
        states.append(model.backbone.codebook)
    np.testing.assert_allclose(states[0], states[1], atol=1e-6)
    missing = {**x, "audio_mask": np.zeros((4, 10), "float32")}
    before = model.backbone.codebook
    model.fit(missing, verbose=0)
    np.testing.assert_array_equal(model.backbone.codebook, before)


def test_levels_of_the_anchor_continue_where_the_shared_ones_end():
    model = small_system("aha", backbone={"num_levels": 3, "num_shared_levels": 2})
    x = batch()
    model.backbone.build({m: (None, *v.shape[1:]) for m, v in x.items()})
    model.backbone.adapt_codebook(x)
    features = model(x)
    assert array(features["indices"]["text"]).shape == (4, 10, 2)
    general, codes = (array(features[k]["audio"]) for k in ("general", "codes"))
    np.testing.assert_allclose(
        array(features["residual"]["audio"]), general - codes, rtol=1e-5, atol=1e-6
    )
    levels = model.backbone.specific_quantizer
    own = array(levels.assign_codes(general - codes)["codes"])
    np.testing.assert_allclose(array(features["specific"]["audio"]), own, rtol=1e-4, atol=1e-5)
    compiled = compiled_system("aha", backbone={"num_levels": 3, "num_shared_levels": 2})
    assert np.isfinite(compiled.fit(x, epochs=2, verbose=0).history["loss"]).all()
    assert [tuple(codes.shape) for codes in compiled.backbone.code_tables()] == [(6, 8)] * 2


def test_discriminators_train_by_the_main_optimiser_and_against_the_encoders():
    model, x = small_system("aha", MODALITIES), batch(MODALITIES)
    model.build({m: v.shape for m, v in x.items()})
    variable = model.discriminators["text"].mlp.hidden.kernel
    assert any(v is variable for v in model.trainable_variables)
    assert not model.is_estimator(variable)
    weights = dict.fromkeys(small_system("aha").loss_weights, 0.0)
    plain = compiled_system("aha", loss_weights={**weights, "adversarial_text": 1.0})
    against = compiled_system(
        "aha",
        loss_weights={**weights, "adversarial_text": 1.0},
        discriminator={"hidden_units": 4, "reversal_scale": 0.0},
    )
    moved = []
    for system in (plain, against):
        data = batch()
        system.build({m: v.shape for m, v in data.items()})
        kernel = system.backbone.specific_encoders["text"].dense.kernel
        before = array(kernel)
        system.fit(data, batch_size=4, verbose=0)
        moved.append(np.abs(array(kernel) - before).max())
    assert moved[0] > 0 and moved[1] == 0


def test_any_sequence_may_be_the_anchor():
    assert small_system("aha", ("text", "video")).backbone.anchor == "text"
    assert small_system("aha", ("imu", "audio")).backbone.anchor == "audio"
    model = small_system("aha", backbone={"anchor": "text"})
    assert model.others() == ["audio"]
    with pytest.raises(ValueError, match=r"`anchor` must name a modality of sequences.*'video'"):
        losses_of(small_system("aha", MODALITIES, backbone={"anchor": "video"}), batch(MODALITIES))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"backbone": {"anchor": "smell"}}, "`anchor` must be one of .*'smell'"),
        ({"backbone": {"num_shared_levels": 4}}, "`num_shared_levels` must be from 1 .* 4 of 4"),
        ({"window_radius": -1.0}, "`window_radius` must not be negative"),
        ({"temperature": 0.0}, "`temperature` must be positive"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        small_system("aha", **settings)


def test_words_of_another_number_than_seconds_are_aligned():
    x = batch()
    x["text"] = x["text"][:, :7]
    history = compiled_system("aha").fit(x, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert keras_cmg.models.AHA.from_preset("paper").backbone.num_levels == 4
