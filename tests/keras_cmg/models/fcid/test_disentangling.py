"""FCID with pieces of other systems: gradient reversal, sliding windows."""

import numpy as np
import pytest
from keras import ops

from keras_cmg import ops as cmg
from tests.helpers.small_fcid import compiled_fcid, small_batch, small_fcid

MODALITIES = ("audio", "video", "text")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses_of(model, x):
    return {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}


@pytest.mark.parametrize("level", ["clip", "segment"])
def test_discriminators_take_the_place_of_estimators(level):
    settings = {"disentangling": "adversarial", "discriminator": {"hidden_units": 4}}
    model = compiled_fcid(MODALITIES, backbone={"quantize_level": level}, **settings)
    names = {"audio", "video", "text", "audiovisual"}
    assert {t for t in model.loss_names if "club" in t} == set()
    assert {f"adversarial_{name}" for name in names} <= set(model.loss_names)
    x = small_batch(MODALITIES)
    history = model.fit(x, epochs=2, verbose=0).history
    assert set(history) == {"loss", *model.log_keys}
    assert np.isfinite(list(history.values())).all()
    features = model(x)
    logits = array(model.discriminators["adversarial_audio"].mlp(features["fine_summary"]["audio"]))
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    indices = array(features["indices"]["audio"])
    indices = np.broadcast_to(indices.reshape(len(indices), -1), log_p.shape[:2])
    expected = -np.take_along_axis(log_p, indices[..., None], axis=-1).mean()
    assert losses_of(model, x)["adversarial_audio"] == pytest.approx(expected, rel=1e-4)
    again = type(model).from_config(model.get_config())
    assert again.loss_weights == model.loss_weights


def test_segments_may_be_out_of_step():
    x = small_batch(MODALITIES)
    weights = {"segment_infonce": 1.0}
    model = small_fcid(MODALITIES, loss_weights=weights, segment_window_radius=2.0)
    general = {m: array(v) for m, v in model(x)["fine_general"].items()}
    expected = cmg.sliding_info_nce(general["audio"], general["video"], 2.0, 0.1, symmetric=True)
    assert losses_of(model, x)["segment_infonce"] == pytest.approx(float(expected), rel=1e-4)
    plain = small_fcid(MODALITIES, loss_weights=weights)
    same = cmg.sliding_info_nce(general["audio"], general["video"], 0.0, 0.1, symmetric=True)
    assert losses_of(plain, x)["segment_infonce"] == pytest.approx(float(same), rel=1e-4)


def test_unknown_switches_are_named():
    with pytest.raises(ValueError, match=r"`disentangling` must be one of .*'magic'"):
        small_fcid(MODALITIES, disentangling="magic")
    with pytest.raises(ValueError, match="`segment_window_radius` must not be negative"):
        small_fcid(MODALITIES, segment_window_radius=-1.0)
