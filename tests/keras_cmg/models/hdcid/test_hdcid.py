"""H-DCID: what its second level sees, learns and answers."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from tests.helpers.small_systems import batch, compiled_system, small_system

MODALITIES = ("audio", "video", "text")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses_of(model, x):
    return {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}


def test_the_second_level_encodes_and_rebuilds_what_the_first_calls_specific():
    model, x = small_system("hdcid", MODALITIES, second_level_start_step=0), batch(MODALITIES)
    features, found = model(x), losses_of(model, x)
    errors = []
    for name in MODALITIES:
        summary = features["summary"][name]
        general = model.backbone.second.general_encoders[name](summary)
        np.testing.assert_allclose(array(features["second_general"][name]), array(general))
        codes, specific = (features[f"second_{k}"][name] for k in ("quantized", "specific"))
        rebuilt = array(model.second_decoders[name](codes, specific))
        assert rebuilt.shape == array(summary).shape
        errors.append(np.mean((rebuilt - array(summary)) ** 2))
    assert found["second_reconstruction"] == pytest.approx(sum(errors), rel=1e-4)
    assert {"second_cpc", "second_commitment", "club_second_video"} <= set(found)
    assert model.loss_weights["second_cpc"] == 0.3
    assert "code_matching" not in model.loss_names


def test_the_second_level_counts_from_its_start_on():
    model, x = compiled_system("hdcid", second_level_start_step=2), batch()
    logs = [model.fit(x, batch_size=4, verbose=0).history for _ in range(4)]
    terms = [t for t in model.loss_names if "second" in t]
    assert len(terms) == 5
    for term in terms:
        assert [log[term][0] != 0 for log in logs] == [False, False, True, True], term
    # Its codebook follows from the first step on, as in the authors' code.
    steps = [int(array(part.step)) for part in model.backbone.quantizer.quantizers]
    assert steps == [4, 4]


def test_both_levels_are_encoded_side_by_side_and_masked_level_by_level():
    model, x = small_system("hdcid"), batch()
    features, backbone = model(x), model.backbone
    codes = backbone.encode("audio", x["audio"])
    for kind in ("general", "quantized"):
        levels = [array(features[f"{prefix}{kind}"]["audio"]) for prefix in ("", "second_")]
        np.testing.assert_allclose(
            array(codes[kind]), np.concatenate(levels, axis=-1), rtol=1e-5, atol=1e-6
        )
    levels = [array(features[f"{prefix}indices"]["audio"]) for prefix in ("", "second_")]
    np.testing.assert_array_equal(array(codes["indices"]), np.stack(levels, axis=-1))
    toc = keras_cmg.layers.TOCChannelMask(6)
    toc.adapt(backbone.codebooks)
    chosen = []
    for level, codebook in enumerate(backbone.codebooks):
        part = keras_cmg.layers.TOCChannelMask(3)
        part.adapt(codebook)
        chosen += [8 * level + channel for channel in part.channel_indices]
    assert toc.channel_indices.tolist() == chosen


def test_code_matching_may_be_switched_on_for_the_first_level():
    model, x = small_system("hdcid", loss_weights={"code_matching": 1.0}), batch()
    expected = keras_cmg.ops.code_matching_loss(
        model(x)["general"], model.backbone.quantizer.part(0).codebook
    )
    assert losses_of(model, x)["code_matching"] == pytest.approx(float(array(expected)), rel=1e-4)


def test_codes_can_be_placed_by_k_means_in_training():
    model, x = compiled_system("hdcid"), batch(clips=8)
    model.build({m: v.shape for m, v in x.items()})
    init = keras_cmg.callbacks.KMeansCodebookInit(step=0)
    before = [array(codes) for codes in model.backbone.code_tables()]
    model.fit(x, batch_size=8, verbose=0, callbacks=[init])
    for old, new in zip(before, model.backbone.code_tables(), strict=True):
        assert np.abs(array(new) - old).max() > 0.1


def test_wrong_backbones_and_steps_are_refused():
    single = keras_cmg.models.DCIDBackbone(("audio", "text"))
    with pytest.raises(ValueError, match="`backbone` must have `second_level=True`"):
        keras_cmg.models.HDCID(single)
    with pytest.raises(ValueError, match="`second_level_start_step` must not be negative"):
        small_system("hdcid", second_level_start_step=-1)
    layer = keras_cmg.layers.GroupedQuantizer(keras_cmg.layers.Codebook(6, 4), 4)
    with pytest.raises(ValueError, match="`quantizer` must have two groups"):
        small_system("hdcid", backbone={"quantizer": layer})


def test_probes_of_the_authors_dcid_are_as_before():
    assert keras_cmg.models.DCIDBackbone().code_dim == 256
    assert keras_cmg.models.HDCID.from_preset("reference").backbone.code_dim == 512
    text = keras.saving.serialize_keras_object(keras_cmg.models.DCIDBackbone())
    assert text["config"]["second_level"] is False
