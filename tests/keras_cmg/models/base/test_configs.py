"""What the configuration and the file of a system keep."""

import copy
import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg.models import LinearProbe, ModalityEncoder
from tests.helpers.small_fcid import compiled_fcid, small_batch, small_fcid
from tests.helpers.small_systems import SYSTEMS, batch, small_system

MODALITIES = ("audio", "text")
every_system = pytest.mark.parametrize("name", [*SYSTEMS, "vqvae"])


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def new(name):
    if name == "vqvae":
        return keras_cmg.models.VQVAE.from_preset("small", backbone={"hidden_channels": 4})
    return small_system(name, MODALITIES)


def loaded(model, path, **kwargs):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras", safe_mode=True, **kwargs)


@every_system
def test_from_config_leaves_its_argument_as_it_is(name):
    model = new(name)
    for part in (model, model.backbone):
        config = part.get_config()
        before = copy.deepcopy(config)
        first, second = (type(part).from_config(config) for _ in range(2))
        assert config == before == first.get_config() == second.get_config()


def test_from_config_of_encoders_and_probes_leaves_its_argument_as_it_is():
    backbone = small_fcid(("audio",)).backbone
    for part in (ModalityEncoder(backbone, "audio"), LinearProbe(3)):
        config = part.get_config()
        before = copy.deepcopy(config)
        assert type(part).from_config(config).get_config() == config == before


@every_system
def test_attributes_and_configs_have_the_names_of_the_arguments(name):
    model = new(name)
    for part in (model, model.backbone):
        arguments = {
            argument
            for cls in type(part).__mro__
            if cls.__module__.startswith("keras_cmg.models") and "__init__" in vars(cls)
            for argument in inspect.signature(cls.__init__).parameters
        } - {"self", "kwargs"}
        if name == "simmmdg":
            arguments -= {"num_embeddings", "quantizer"}
        config = part.get_config()
        assert arguments <= set(config)
        for argument in arguments:
            value, stored = getattr(part, argument), config[argument]
            if isinstance(value, keras.Layer):
                assert stored["config"] == keras.saving.serialize_keras_object(value)["config"]
            elif argument not in ("encoders", "specific_encoders", "decoders"):
                assert stored == value, argument


@every_system
def test_loss_weights_are_those_of_all_terms(name):
    model = new(name)
    assert set(model.loss_weights) == set(model.default_loss_weights())
    term = next(iter(model.loss_weights))
    changed = type(model).from_config({**model.get_config(), "loss_weights": {term: 0.5}})
    assert changed.loss_weights[term] == 0.5
    again = type(model).from_config(changed.get_config())
    assert again.loss_weights == changed.loss_weights


@pytest.mark.parametrize("name", SYSTEMS)
def test_modalities_alone_give_the_backbone_of_its_default_preset(name):
    cls = keras_cmg.models.get_model_class(name)

    def settings(backbone):
        return {k: v for k, v in backbone.get_config().items() if k != "name"}

    # FCID's default preset has another objective than its defaults, and a backbone for it.
    default = cls.backbone_class.default_preset
    assert default == "small" and cls.default_preset == ("plus" if name == "fcid" else "small")
    expected = settings(cls.from_preset(default, modalities=MODALITIES).backbone)
    assert settings(cls(MODALITIES).backbone) == expected
    if name in ("fcid", "dcid", "codis", "fac", "simmmdg"):
        preset = cls.presets[default]["backbone"]
        body = cls.backbone_class(**{**preset, "modalities": MODALITIES})
        assert settings(body) == expected
    assert settings(keras_cmg.models.FCIDBackbone.from_preset(modalities=MODALITIES)) == settings(
        keras_cmg.models.FCID(MODALITIES).backbone
    )


@pytest.mark.every_engine
def test_files_keep_which_layers_are_frozen(tmp_path):
    model = small_fcid(MODALITIES)
    model(small_batch(MODALITIES))
    backbone = model.backbone
    backbone.quantizer.trainable = False
    backbone.general_encoders["audio"].projection.trainable = False
    model.fine_decoders["audio"].trainable = False
    again = loaded(model, tmp_path)
    assert again.backbone.frozen_layers == ("audio_general/projection", "codebook")
    assert again.frozen_layers == ("audio_decoder",)
    assert not again.backbone.quantizer.trainable
    assert not again.fine_decoders["audio"].inner.trainable
    assert again.backbone.general_encoders["text"].projection.trainable
    names = [[v.path.split("/")[-2:] for v in m.trainable_variables] for m in (model, again)]
    assert names[0] == names[1]
    before = again.backbone.codebook
    again.prepare_step(small_batch(MODALITIES), training=True)
    np.testing.assert_array_equal(again.backbone.codebook, before)


def test_a_frozen_codebook_stays_frozen_while_a_loaded_model_trains(tmp_path):
    model = compiled_fcid(MODALITIES)
    model.fit(small_batch(MODALITIES), verbose=0)
    model.backbone.quantizer.trainable = False
    again = loaded(model, tmp_path)
    before = again.backbone.codebook
    again.fit(small_batch(MODALITIES), epochs=2, verbose=0)
    np.testing.assert_array_equal(again.backbone.codebook, before)


def test_layers_can_be_frozen_from_the_start():
    model = small_fcid(MODALITIES, backbone={"frozen_layers": ("codebook", "text_general")})
    assert model.backbone.frozen_layers == ("codebook", "text_general")
    model(small_batch(MODALITIES))
    assert not model.backbone.general_encoders["text"].trainable_variables
    model.backbone.general_encoders["text"].trainable = True
    assert model.backbone.frozen_layers == ("codebook",)
    with pytest.raises(ValueError, match=r"`frozen_layers` must name layers .*'text_generall'"):
        small_fcid(MODALITIES, backbone={"frozen_layers": ("text_generall",)})(
            small_batch(MODALITIES)
        )


@pytest.mark.parametrize("whole", [True, False], ids=["pretrainer", "backbone"])
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
def test_weights_of_eight_bits_encode_alike_and_are_kept_in_files(whole, tmp_path):
    model, x = small_fcid(("audio", "text")), small_batch(("audio", "text"))
    model(x)
    expected = array(model.backbone.encode("audio", x["audio"])["general"])
    (model if whole else model.backbone).quantize("int8")
    kernel = model.backbone.general_encoders["audio"].projection._kernel
    assert keras.backend.standardize_dtype(kernel.dtype) == "int8"
    found = array(model.backbone.encode("audio", x["audio"])["general"])
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())
    again = loaded(model, tmp_path)
    np.testing.assert_array_equal(
        array(again.backbone.encode("audio", x["audio"])["general"]), found
    )


def test_a_part_of_the_weights_in_eight_bits_is_refused():
    backbone = small_fcid(("audio",)).backbone
    backbone.build({"audio": (None, 10, 12)})
    with pytest.raises(ValueError, match=r"`filters` must be None.* 'audio'"):
        backbone.quantize("int8", filters="audio")


def test_a_quantiser_may_be_given_as_a_layer(tmp_path):
    layer = keras_cmg.layers.Codebook(5, 8, decay=0.5)
    model = small_fcid(MODALITIES, backbone={"quantizer": layer})
    assert model.backbone.quantizer is layer
    model(small_batch(MODALITIES))
    again = loaded(model, tmp_path).backbone
    assert (again.quantizer.decay, again.codebook.shape) == (0.5, (5, 8))
    with pytest.raises(
        ValueError, match=r"`quantizer` must have the width .*`embedding_dim` 8.* 3"
    ):
        small_fcid(MODALITIES, backbone={"quantizer": keras_cmg.layers.Codebook(5, 3)})


def unequal(level, **weights):
    modalities = ("audio", "video")
    x = small_batch(modalities)
    x["audio"] = x["audio"][:, :7]
    return compiled_fcid(modalities, backbone={"quantize_level": level}, loss_weights=weights), x


def test_fine_modalities_of_other_frames_are_refused_where_segments_share_an_estimator():
    model, x = unequal("segment")
    message = r"`quantize_level='segment'` .* same number of frames.*'audio': 7, 'video': 10"
    with pytest.raises(ValueError, match=message):
        model.build({m: v.shape for m, v in x.items()})
    model = compiled_fcid(("audio", "video"), backbone={"quantize_level": "segment"})
    model.build({m: v.shape for m, v in small_batch(("audio", "video")).items()})
    with pytest.raises(ValueError, match=message):
        model.prepare_step(x)
    for model, x in (unequal("clip"), unequal("segment", club_audiovisual=0.0)):
        assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()


def test_a_system_is_at_most_two_levels_above_keras():
    for name in (*SYSTEMS, "vqvae"):
        cls = keras_cmg.models.get_model_class(name)
        between = [c for c in cls.backbone_class.__mro__ if issubclass(c, keras.Model)]
        assert between.index(keras.Model) <= 3, between
        assert cls.main_losses is keras_cmg.models.Pretrainer.main_losses
        assert cls.estimator_loss is keras_cmg.models.Pretrainer.estimator_loss


def test_masks_are_read_once_by_the_backbone_and_once_by_the_losses(monkeypatch):
    modalities = ("audio", "video", "text")
    model, x = compiled_fcid(modalities, loss_weights={"code_matching": 1.0}), batch(modalities)
    x["text_mask"] = np.ones((4, 10), "float32")
    model.build({m: x[m].shape for m in modalities})
    calls = []
    original = keras_cmg.models.SequenceBackbone.frame_masks

    def counted(self, inputs):
        calls.append(1)
        return original(self, inputs)

    monkeypatch.setattr(keras_cmg.models.SequenceBackbone, "frame_masks", counted)
    model.train_on_batch(x)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("fcid", {"modalities": "audio"}, "`modalities` must hold .*Received: 'audio'"),
        ("fcid", {"backbone": {"encoders": {"audoi": None}}}, r"`encoders` must .*\['audoi'\]"),
        ("fcid", {"backbone": {"specific_encoders": {"a": None}}}, "`specific_encoders` must name"),
        ("fcid", {"decoders": {"a": None}}, r"`decoders` must name modalities .*\['a'\]"),
        ("fcid", {"loss_weights": {"infonce": float("nan")}}, "`loss_weights` must be finite"),
        ("micu", {"mask_ratio": {"audio": 0.3}}, r"Missing: \['text'\]\. Received: .*0\.3"),
    ],
)
def test_names_and_numbers_without_a_meaning_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_cmg.models.create_model(name, **{"modalities": ("audio", "text"), **arguments})


@pytest.mark.parametrize("name", ["cmcm", "vqvae"])
@pytest.mark.parametrize("quantizer", ["SimVQ", "LearnedCodebook", "Prototypes"])
def test_the_quantizer_of_a_preset_may_be_of_another_class(name, quantizer):
    backbone = {"quantizer": {"class_name": quantizer}}
    model = keras_cmg.models.create_model(name, backbone=backbone)
    assert type(model.backbone.quantizer).__name__ == quantizer
    kept = {"quantizer": {"class_name": "AlignedCodebook", "epsilon": 1e-4}}
    changed = keras_cmg.models.create_model(name, backbone=kept).backbone.quantizer
    before = keras_cmg.models.create_model(name).backbone.quantizer
    assert changed.dead_code_patience == before.dead_code_patience and changed.epsilon == 1e-4


@pytest.mark.parametrize("name", ["fcid", "simmmdg"])
def test_encoders_of_another_width_are_named(name):
    width = {"fcid": 256, "simmmdg": 512}[name]
    backbone = {"encoders": {"audio": keras.layers.Dense(width - 1)}}
    model = keras_cmg.models.create_model(name, modalities=("audio", "text"), backbone=backbone)
    x = {"audio": np.zeros((2, 3, 4), "float32"), "text": np.zeros((2, 3, 4), "float32")}
    with pytest.raises(ValueError, match=rf"encoder of 'audio' must .* {width}\).*{width - 1}\)"):
        model.backbone(x)
