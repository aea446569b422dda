"""DCID keeps the contract, for any set of modalities."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg

SETTINGS = {
    "num_embeddings": 6,
    "embedding_dim": 8,
    "general": {"num_layers": 1, "num_heads": 2, "feedforward_units": 8},
    "map_specific": {"hidden_channels": 3, "channels": 4},
    "specific": {"audio": {"units": 5}, "text": {"units": 5}},
    "recurrent": {"text": {"units": 3, "num_layers": 1}},
}
SIZES = {"club": {"hidden_units": 4}, "cpc": {"units": 4}, "decoder_channels": 3}
FEATURES = {"audio": (10, 12), "video": (10, 7, 7, 6), "text": (10, 8)}


def dcid(*modalities, preset="small", **overrides):
    keras.utils.set_random_seed(0)
    return keras_cmg.models.DCID.from_preset(
        preset, modalities, backbone=SETTINGS, **{**SIZES, **overrides}
    )


def batch(*modalities, clips=4):
    draws = np.random.default_rng(0)
    return {m: draws.normal(size=(clips, *FEATURES[m])).astype("float32") for m in modalities}


@pytest.mark.parametrize(
    "modalities", [("audio",), ("audio", "text"), ("audio", "video", "text")], ids="-".join
)
def test_any_set_of_modalities_trains_and_encodes(modalities):
    model = dcid(*modalities)
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    history = model.fit(batch(*modalities), epochs=2, verbose=0).history
    assert set(history) == {"loss", *model.log_keys}
    assert all(np.isfinite(history["loss"]))
    for m in modalities:
        clip = model.backbone.encode(m, batch(m)[m], "clip")
        assert tuple(clip["quantized"].shape) == (4, 8)
        assert tuple(model.backbone.encode(m, batch(m)[m])["indices"].shape) == (4, 10)
    before = model.backbone.codebook
    model.evaluate(batch(*modalities), verbose=0)
    np.testing.assert_array_equal(model.backbone.codebook, before)


def test_saved_model_gives_the_same_losses(tmp_path):
    model = dcid("audio", "video", "text", preset="reference", num_event_classes=3)
    model.compile()
    model.fit(batch("audio", "video", "text"), verbose=0)
    model.save(tmp_path / "dcid.keras")
    again = keras.saving.load_model(tmp_path / "dcid.keras")
    x = batch("audio", "video", "text")
    assert again.evaluate(x, verbose=0, return_dict=True) == model.evaluate(
        x, verbose=0, return_dict=True
    )


def test_clip_features_are_the_mean_of_the_frames_that_count():
    backbone = dcid("audio").backbone
    x, mask = batch("audio")["audio"], np.repeat([[1] * 6 + [0] * 4], 4, axis=0)
    frames = ops.convert_to_numpy(backbone.encode("audio", x, "segment", mask)["general"])
    clip = ops.convert_to_numpy(backbone.encode("audio", x, "clip", mask)["general"])
    np.testing.assert_allclose(clip, frames[:, :6].mean(axis=1), rtol=1e-5, atol=1e-6)


def test_unknown_terms_are_refused():
    with pytest.raises(ValueError, match="`loss_weights` must name terms"):
        dcid("audio", loss_weights={"infonce": 1.0})
