"""The contract that every registered system keeps, whatever it is made of."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from tests.helpers.small_systems import (
    PEERS,
    SYSTEMS,
    batch,
    codes_of,
    compiled_system,
    small_system,
)

SUBSETS = [("audio", "video", "text"), ("text", "video"), ("imu", "audio")]
UNREAD = ("codaar", "micu")
"""Systems of which the authors' code is known and not the paper: they have no preset "paper"."""
every_system = pytest.mark.parametrize("name", SYSTEMS)


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def state(model):
    return [array(v) for v in model.weights]


def losses_of(model, x):
    return {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}


def test_the_list_is_complete():
    """The VQ-VAE has one modality and tests of its own."""
    assert {*SYSTEMS, "vqvae"} == set(keras_cmg.models.list_models())


@every_system
@pytest.mark.parametrize("modalities", SUBSETS, ids="-".join)
def test_any_subset_trains_and_encodes(name, modalities):
    model, x = compiled_system(name, modalities), batch(modalities)
    history = model.fit(x, batch_size=2, epochs=2, verbose=0).history
    assert set(history) == {"loss", *model.log_keys}
    assert np.isfinite(list(history.values())).all()
    for m in modalities:
        for level, shape in (("segment", x[m].shape[:2]), ("clip", x[m].shape[:1])):
            backbone = model.backbone
            codes = backbone.encode(m, x[m], level)
            assert tuple(codes["general"].shape) == (*shape, backbone.general_dim)
            assert tuple(codes["quantized"].shape) == (*shape, backbone.code_dim)
            if backbone.quantizer is None:
                assert "indices" not in codes
                continue
            found = array(backbone.quantizer.decode(codes["indices"]))
            np.testing.assert_allclose(array(codes["quantized"]), found, atol=1e-5)


@every_system
def test_total_is_the_weighted_sum_and_zero_drops_a_term(name):
    names = small_system(name).loss_names
    weights = {term: 0.5 + i for i, term in enumerate(names)}
    model, x = small_system(name, loss_weights=weights), batch()
    losses = losses_of(model, x)
    assert set(losses) >= set(names)
    expected = sum(weights[term] * losses[term] for term in names)
    assert losses["loss"] == pytest.approx(expected, rel=1e-5)
    dropped = small_system(name, loss_weights={**weights, names[0]: 0.0})
    assert names[0] not in losses_of(dropped, x)
    assert names[0] not in dropped.log_keys
    with pytest.raises(ValueError, match=r"`loss_weights` must name terms of .*'smell'"):
        small_system(name, loss_weights={"smell": 1.0})


@every_system
def test_training_changes_no_state_of_a_frozen_backbone(name):
    model, x = small_system(name), batch()
    model.build({m: v.shape for m, v in x.items()})
    model.backbone.trainable = False
    encoder = next(iter(model.backbone.general_encoders.values()))
    for variable in encoder.weights:
        # As another model that shares the layer would; its averages could follow.
        variable.assign(array(variable) + 1)
    counters = ("step_counter", "seed_generator_state")
    states = [v for v in model.variables if v.name not in counters]
    before = [array(v) for v in states]
    model.prepare_step(x, training=True)
    for variable, old in zip(states, before, strict=True):
        np.testing.assert_array_equal(array(variable), old)


@every_system
def test_training_lowers_the_loss(name):
    # Without the warm start, at whose end a term comes in.
    options = {"cmcm": {"warm_start_steps": 0}, "hdcid": {"second_level_start_step": 0}}
    options = options.get(name, {})
    model, x = compiled_system(name, **options), batch(clips=8)
    history = model.fit(x, batch_size=8, epochs=12, verbose=0).history["loss"]
    assert history[-1] < history[0]


@every_system
def test_config_says_all(name):
    model = small_system(name, ("audio", "video"))
    config = model.get_config()
    again = type(model).from_config(model.get_config())
    assert again.get_config() == config
    serialized = keras.saving.serialize_keras_object(model)
    assert keras.saving.deserialize_keras_object(serialized).get_config() == config
    body = type(model.backbone).from_config(model.backbone.get_config())
    assert body.get_config() == model.backbone.get_config()


@every_system
def test_a_loaded_model_goes_on_where_the_saved_one_does(name, tmp_path):
    model = compiled_system(name, backbone={"general": {"dropout": 0.1, "num_heads": 2}})
    x = batch()
    model.fit(x, batch_size=2, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for old, new in zip(state(model), state(loaded), strict=True):
        np.testing.assert_array_equal(old, new)
    histories = [
        m.fit(x, batch_size=2, epochs=2, shuffle=False, verbose=0).history for m in (model, loaded)
    ]
    assert histories[0] == histories[1]
    for old, new in zip(state(model), state(loaded), strict=True):
        np.testing.assert_array_equal(old, new)


@every_system
def test_evaluation_and_encoding_move_nothing(name):
    model, x = compiled_system(name), batch()
    model.fit(x, verbose=0)
    before = state(model)
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert set(logs) == {"loss", *model.log_keys}
    model.backbone.encode("audio", x["audio"])
    model.predict(x, verbose=0)
    for old, new in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(old, new)


@every_system
def test_missing_text_is_masked_not_dropped(name):
    modalities = ("audio", "video", "text")
    x = batch(modalities)
    x["text_mask"] = np.array([[1] * 10, [0] * 10, [1] * 6 + [0] * 4, [0] * 10], "float32")
    junk = {**x, "text": np.where(x["text_mask"][..., None] > 0, x["text"], 7.0)}
    model = small_system(name, modalities)
    expected = losses_of(model, x)
    assert losses_of(model, junk) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert np.isfinite(list(expected.values())).all()
    trained = []
    for clips in (x, junk):
        model = compiled_system(name, modalities, backbone=_reviving(name))
        history = model.fit(clips, batch_size=4, epochs=3, shuffle=False, verbose=0).history
        trained.append((history["loss"], codes_of(model.backbone)))
    assert trained[1][0] == pytest.approx(trained[0][0], rel=1e-3)
    np.testing.assert_allclose(trained[1][1], trained[0][1], rtol=1e-3, atol=1e-4)


def _reviving(name):
    """Dead codes come back after a step, from clips that have the modality."""
    return {} if name in ("codis", "simmmdg") else {"quantizer": {"dead_code_patience": 1}}


@every_system
def test_a_modality_missing_everywhere_leaves_the_others(name):
    modalities = ("audio", "video", "text")
    x = batch(modalities)
    x["text_mask"] = np.zeros((4, 10), "float32")
    model = compiled_system(name, modalities)
    history = model.fit(x, epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    for term in ("infonce", "alignment", "contrastive", "fine", "cpc"):
        if term in history and name != "fcid":
            assert history[term][-1] > 0


@every_system
def test_masks_of_ones_change_nothing(name):
    x = batch()
    full = {f"{m}_mask": np.ones(v.shape[:2], "float32") for m, v in x.items()}
    model = small_system(name)
    assert losses_of(model, {**x, **full}) == pytest.approx(losses_of(model, x), rel=1e-4, abs=1e-6)


@every_system
@pytest.mark.parametrize("case", ["one clip", "one code", "equal features"])
def test_limit_cases_stay_finite(name, case):
    if case == "one code" and name == "simmmdg":
        pytest.skip("SimMMDG has no codes")
    x = batch(clips=1 if case == "one clip" else 4)
    if case == "equal features":
        x = {m: np.ones_like(v) for m, v in x.items()}
    model = compiled_system(name, backbone={"num_embeddings": 1} if case == "one code" else {})
    history = model.fit(x, epochs=3, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert all(np.isfinite(v).all() for v in state(model))
    if case == "one code":
        assert history["perplexity"][-1] == pytest.approx(1.0)


@every_system
def test_half_precision_keeps_losses_and_codes_whole(name):
    x = batch()
    expected = losses_of(small_system(name), x)
    half = small_system(name, dtype="mixed_bfloat16")
    found = losses_of(half, x)
    assert found["loss"] == pytest.approx(expected["loss"], rel=0.1)
    half.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    assert np.isfinite(half.fit(x, verbose=0).history["loss"]).all()
    assert all(v.dtype in ("float32", "int32", "uint32") for v in half.variables)
    for modality, features in x.items():
        encoded = keras_cmg.models.ModalityEncoder(half.backbone, modality)
        encoded = encoded.predict(features, verbose=0)
        assert {value.dtype.name for value in encoded.values()} <= {"float32", "int32"}


@every_system
@pytest.mark.parametrize("preset", ["paper", "small"])
def test_presets_have_the_published_widths(name, preset):
    if name in UNREAD and preset == "paper":
        preset = "reference"
    model = keras_cmg.models.create_model(name, preset)
    assert set(model.backbone.modalities) == {"audio", "video", "text"}
    assert model.backbone.embedding_dim == 256
    codes = {("codaar", "reference"): 800, ("codebind", "paper"): 1024, ("codebind", "small"): 256}
    assert name == "simmmdg" or model.backbone.num_embeddings == codes.get((name, preset), 400)
    width = model.backbone.general["feedforward_units"]
    assert width == (256 if preset == "small" else 1024)


@pytest.mark.parametrize("name", PEERS)
def test_one_modality_alone_is_refused(name):
    with pytest.raises(ValueError, match=r"aligns modalities .* at least two names.*\('audio',\)"):
        small_system(name, ("audio",))
    cls = keras_cmg.models.get_model_class(name)
    assert cls(("audio", "text")).backbone.modalities == ("audio", "text")
    with pytest.raises(ValueError, match=r"or a tuple of modalities. Received: 'audio'"):
        cls("audio")


@every_system
def test_codes_can_start_at_the_clips_that_have_them(name):
    model, x = small_system(name), batch(clips=8)
    x["text_mask"] = np.repeat([[1]] * 4 + [[0]] * 4, 10, axis=1)
    if name == "simmmdg":
        with pytest.raises(ValueError, match="needs codes, and SimMMDG has none: its features are"):
            model.backbone.adapt_codebook(x)
        return
    model.backbone.adapt_codebook(x, "segment")
    before = codes_of(model.backbone)
    model.backbone.adapt_codebook({**x, "text": np.where(x["text_mask"][..., None], x["text"], 9)})
    model.backbone.adapt_codebook(
        {**x, "text": np.where(x["text_mask"][..., None], x["text"], 9)}, "segment"
    )
    np.testing.assert_allclose(codes_of(model.backbone), before, atol=1e-4)


@every_system
def test_clips_without_frames_are_named(name):
    model, x = small_system(name), batch()
    model.backbone.build({m: v.shape for m, v in x.items()})
    for level in ("segment", "clip"):
        with pytest.raises(ValueError, match=r"'text' must have at least one frame.*\(4, 0, 8\)"):
            model.backbone.encode("text", x["text"][:, :0], level)
    with pytest.raises(ValueError, match="'text' must have at least one frame"):
        model.backbone({**x, "text": x["text"][:, :0]})
