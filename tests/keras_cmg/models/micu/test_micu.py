"""What is special about MICU: two passes, one mask for all, terms as switches of FCID."""

import numpy as np
import pytest
from keras import ops

from tests.helpers.small_systems import batch, compiled_system, small_system

X = batch()


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_two_passes_update_the_codebook_twice_and_give_features_of_both():
    once, twice = (small_system("micu", num_passes=n, preset="small") for n in (1, 2))
    twice.build({m: x.shape for m, x in X.items()})
    once.build({m: x.shape for m, x in X.items()})
    for source, target in zip(once.weights, twice.weights, strict=True):
        target.assign(array(source))
    for model, passes in ((once, 2), (twice, 1)):
        for _ in range(passes):
            inputs = model.prepare_step(X, training=True)
    np.testing.assert_allclose(twice.backbone.codebook, once.backbone.codebook, rtol=1e-5)
    assert {"first_general", "first_quantized"} <= set(inputs.features)
    assert "first_general" not in twice.prepare_step(X).features


def test_only_named_modalities_keep_codes_alive():
    quantizer = {"usage_modalities": ("audio",), "dead_code_patience": 2}
    model = small_system("micu", backbone={"quantizer": quantizer})
    inputs = model.prepare_step(X, training=True)
    used = np.unique(array(inputs.features["indices"]["audio"]))
    steps = array(model.backbone.quantizer.steps_since_used)
    np.testing.assert_array_equal(np.flatnonzero(steps == 0), used)
    text = small_system("micu", ("text", "imu"), backbone={"quantizer": quantizer})
    text.prepare_step(batch(("text", "imu")), training=True)
    assert (array(text.backbone.quantizer.steps_since_used) == 0).any()


def test_draws_of_the_batch_take_the_place_of_random_ones():
    model = small_system("micu", mask_ratio={"audio": 0.5, "text": 0.0})
    uniform = np.full((4, 10), 0.4, "float32")
    fixed = {**X, "draws": {"mask_uniform": uniform, "jigsaw_parts": np.array([0, 0])}}
    draws = fixed["draws"]
    losses = [
        {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}
        for x in (fixed, {**X, "draws": {**draws, "jigsaw_parts": np.array([1, 0])}})
    ]
    # All frames of sound are masked, none of text.
    assert losses[0]["masked_frame_infonce"] >= 2 * np.log(10)
    assert losses[0]["masked_frame_infonce"] == losses[1]["masked_frame_infonce"]
    assert losses[0]["jigsaw"] != losses[1]["jigsaw"]


@pytest.mark.parametrize("modalities", [("audio", "video", "text"), ("audio", "text")])
def test_fcid_takes_the_terms_as_switches(modalities):
    terms = ("masked_frame_infonce", "masked_clip_infonce", "jigsaw")
    plain = small_system("fcid", modalities)
    assert not set(terms) & set(plain.loss_names)
    weights = dict.fromkeys(terms, 1.0)
    model = compiled_system("fcid", modalities, loss_weights=weights, jigsaw={"hidden_units": 4})
    history = model.fit(batch(modalities), epochs=2, verbose=0).history
    assert set(history) == {"loss", *model.log_keys}
    assert np.isfinite(list(history.values())).all()
    assert ("masked_clip_infonce" in history) == ("video" in modalities)
    assert "jigsaw_accuracy" in history


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask_ratio": 1.0}, r"`mask_ratio` must lie in \[0, 1\)"),
        ({"mask_ratio": {"audio": -0.1}}, r"`mask_ratio` must lie in \[0, 1\)"),
        ({"temperature": 0}, "`temperature` must be positive"),
        ({"num_passes": 3}, "`num_passes` must be 1 or 2"),
        ({"jigsaw": {"num_pieces": 3}}, "that 3 pieces divide"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        small_system("micu", **arguments).prepare_step(X, training=True)
