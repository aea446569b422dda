"""The loss of the preset "paper", term by term, against slow NumPy written from the equations."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from tests.helpers import numpy_reference
from tests.helpers.small_fcid import BACKBONE, small_batch

SIZES = {"club": {"hidden_units": 4}, "cpc": {"units": 4}, "decoder_channels": 3}
TIME = 3


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)), "float64")


@pytest.fixture(scope="module")
def case():
    """A model of the preset, its features and losses on one batch, as float64 arrays."""
    keras.utils.set_random_seed(3)
    model = keras_cmg.models.FCID.from_preset("paper", backbone=BACKBONE, **SIZES)
    batch = small_batch()
    model.build({name: x.shape for name, x in batch.items() if name in model.backbone.modalities})
    x = {**batch, "draws": {"cpc_time": ops.convert_to_tensor(TIME, dtype="int32")}}
    features = model(batch)
    losses = {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}
    return model, batch, features, losses


def test_terms_are_those_of_the_total(case):
    model, _, _, losses = case
    assert set(model.loss_names) == {
        "fine_reconstruction", "coarse_reconstruction", "commitment", "cpc", "infonce",
        "club_audio", "club_video", "club_audiovisual", "club_text",
    }  # fmt: skip
    assert losses["loss"] == pytest.approx(sum(losses[k] for k in model.loss_names), rel=1e-5)


def test_reconstruction_is_the_mean_squared_error_of_each_modality(case):
    model, batch, features, losses = case
    fine = sum(
        np.mean(
            np.square(
                array(decoder(features["fine_general"][m], features["fine_specific"][m])) - batch[m]
            )
        )
        for m, decoder in model.fine_decoders.items()
    )
    coarse = sum(
        np.mean(
            np.square(
                array(decoder(features["quantized"][m], features["coarse_specific"][m]))
                - array(features["projected"][m])
            )
        )
        for m, decoder in model.coarse_decoders.items()
    )
    assert losses["fine_reconstruction"] == pytest.approx(fine, rel=1e-5)
    assert losses["coarse_reconstruction"] == pytest.approx(coarse, rel=1e-5)


def test_commitment_is_to_the_nearest_code(case):
    model, _, features, losses = case
    codebook = model.backbone.codebook.astype("float64")
    expected = 0.0
    for m in model.backbone.modalities:
        general = array(features["coarse_general"][m])
        codes = codebook[numpy_reference.nearest_codes(general, codebook)]
        expected += 0.25 * np.mean(np.square(general - codes))
    assert losses["commitment"] == pytest.approx(expected, rel=1e-5)


def test_infonce_has_temperature_one_and_text_as_keys(case):
    _, _, features, losses = case
    unit = {
        m: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        for m, x in ((m, array(x)) for m, x in features["coarse_general"].items())
    }
    expected = sum(
        numpy_reference.cross_entropy(unit[m] @ unit["text"].T) for m in ("audio", "video")
    )
    assert losses["infonce"] == pytest.approx(expected, rel=1e-5)


def test_cpc_finds_the_target_of_each_prediction_in_the_batch(case):
    model, _, features, losses = case
    expected = 0.0
    for source, target in (("audio", "video"), ("video", "audio")):
        context = model.cpc_predictor.context(
            source, features["fine_general"][source], ops.convert_to_tensor(TIME, dtype="int32")
        )
        predictions = array(model.cpc_predictor.predictors[source][0](context))
        targets = array(features["fine_general"][target])[:, TIME + 1]
        expected += numpy_reference.cross_entropy(predictions @ targets.T)
    assert losses["cpc"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", ["club_audio", "club_video", "club_audiovisual", "club_text"])
def test_club_counts_every_pair_of_the_batch(case, term):
    model, _, features, losses = case
    name = term.removeprefix("club_")
    if name in ("audio", "video"):
        x, y = (array(features[kind][name]) for kind in ("fine_general", "fine_summary"))
    else:
        members = ("audio", "video") if name == "audiovisual" else ("text",)
        x, y = (
            np.concatenate([array(features[kind][m]) for m in members])
            for kind in ("coarse_general", "coarse_specific")
        )
    q = model.estimators[term](x.astype("float32"), y.astype("float32"))
    expected = numpy_reference.club_upper_bound(array(q["mean"]), array(q["log_variance"]), y)
    assert losses[term] == pytest.approx(expected, rel=1e-4, abs=1e-6)
