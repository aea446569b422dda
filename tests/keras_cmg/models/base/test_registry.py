"""Systems are found by name, and so are a user's own."""

import pytest

import keras_cmg
from keras_cmg.models.base import registry


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))


def test_systems_of_the_library_are_registered():
    assert keras_cmg.models.get_model_class("fcid") is keras_cmg.models.FCID
    assert keras_cmg.models.get_model_class("dcid") is keras_cmg.models.DCID
    assert keras_cmg.models.list_models() == tuple(sorted(keras_cmg.models.list_models()))


def test_create_passes_everything_on():
    model = keras_cmg.models.create_model(
        "dcid",
        preset="paper",
        modalities=("text", "audio"),
        seed=3,
        backbone={"num_embeddings": 12},
        cpc_self_weight=0.5,
    )
    assert isinstance(model, keras_cmg.models.DCID)
    assert model.backbone.modalities == ("text", "audio")
    assert model.backbone.seed == 3
    assert model.backbone.num_embeddings == 12
    assert model.cpc_self_weight == 0.5
    assert model.cpc["units"] == 256


def test_a_system_has_a_preset_where_none_is_named():
    for name, preset in (("fcid", "plus"), ("dcid", "small")):
        settings = []
        for which in (None, preset):
            model = keras_cmg.models.create_model(name, which, ("audio", "text"))
            parts = [part.get_config() for part in (model, model.backbone)]
            settings.append(
                [{k: v for k, v in c.items() if k not in ("name", "backbone")} for c in parts]
            )
        assert settings[0] == settings[1]


def test_own_systems_are_found():
    @keras_cmg.models.register_model("mine")
    class Mine(keras_cmg.models.FCID):
        pass

    assert "mine" in keras_cmg.models.list_models()
    assert type(keras_cmg.models.create_model("mine", modalities=("audio", "text"))) is Mine


def test_a_definition_may_be_run_twice():
    for _ in range(2):

        @keras_cmg.models.register_model("twice")
        class Twice(keras_cmg.models.FCID):
            pass

    assert keras_cmg.models.get_model_class("twice") is Twice


def test_bad_names_and_classes_are_named():
    with pytest.raises(ValueError, match=r"`name` must be one of \(.*'fcid'.*'nothing'"):
        keras_cmg.models.create_model("nothing")
    for name in ("FCID", "my system", "", 3):
        with pytest.raises(ValueError, match="`name` must be a lower-case identifier"):
            keras_cmg.models.register_model(name)
    with pytest.raises(ValueError, match=r"'fcid' belongs to .*FCID already. .*DCID"):
        keras_cmg.models.register_model("fcid")(keras_cmg.models.DCID)
    with pytest.raises(ValueError, match=r"subclass of `Pretrainer`. .*FCIDBackbone"):
        keras_cmg.models.register_model("other")(keras_cmg.models.FCIDBackbone)
