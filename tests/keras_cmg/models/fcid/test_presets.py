"""What the presets of FCID promise of each other."""

import dataclasses

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg import layers
from keras_cmg.models.fcid import presets
from tests.helpers.small_fcid import compiled, small_batch


def test_paper_small_has_the_papers_equations_and_smalls_backbone():
    paper, small = (
        presets.PRESETS["paper"]["objective"],
        presets.PRESETS["paper_small"]["objective"],
    )
    widths = {"club", "cpc", "decoder_channels"}
    assert {key for key in paper if paper[key] != small[key]} == widths
    assert {k for k in paper["club"] if paper["club"][k] != small["club"][k]} == {"hidden_units"}
    assert {k for k in paper["cpc"] if paper["cpc"][k] != small["cpc"][k]} == {"units"}
    assert presets.PRESETS["paper_small"]["backbone"] == presets.PRESETS["small"]["backbone"]


def test_what_is_published_has_no_switch_of_other_presets():
    for name in ("paper", "paper_small", "reference", "small"):
        model = keras_cmg.models.FCID.from_preset(name)
        assert model.codebook_init_step is None and model.infonce_pairs == "coarse"
        assert model.backbone.quantizer.gradient == "straight_through"
        assert model.backbone.quantize_level == "clip"
        assert not {"segment_infonce", "code_prediction"} & set(model.loss_names)
        assert model.backbone.disentangle
        assert {model.loss_weights[term] for term in ("infonce", "club_audio", "club_video")} == {
            1.0
        }


@pytest.mark.every_engine
def test_every_term_of_disentangled_trains():
    sizes = {"general": {"feedforward_units": 8}, "embedding_dim": 8, "num_embeddings": 6}
    narrow = {"club": {"hidden_units": 4}, "cpc": {"units": 4}, "decoder_channels": 3}
    # Two sequences in step: every term, and no feature maps to compile.
    modalities = ("audio", "depth")
    model = compiled(
        keras_cmg.models.FCID.from_preset("disentangled", modalities, backbone=sizes, **narrow)
    )
    history = model.fit(small_batch(modalities, 8), epochs=4, batch_size=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


PLUS = {"general": {"feedforward_units": 8}, "embedding_dim": 8, "num_embeddings": 6}


@pytest.mark.every_engine
def test_plus_trains():
    model = compiled(keras_cmg.models.FCID.from_preset("plus", ("audio", "text"), backbone=PLUS))
    before = keras.ops.convert_to_numpy(model.backbone.codebook) if model.built else None
    batch = small_batch(("audio", "text"), 8)
    history = model.fit(batch, epochs=4, batch_size=8, verbose=0).history
    assert before is None and history["loss"][-1] < history["loss"][0]
    assert {"infonce", "code_prediction"} <= set(history)


def test_plus_has_no_weights_that_no_term_trains():
    model = compiled(keras_cmg.models.FCID.from_preset("plus", ("audio", "text"), backbone=PLUS))
    batch = small_batch(("audio", "text"), 4)
    model.fit(batch, epochs=1, verbose=0)
    start = [keras.ops.convert_to_numpy(w) for w in model.trainable_variables]
    model.fit(batch, epochs=1, verbose=0)
    moved = [
        not np.array_equal(before, keras.ops.convert_to_numpy(after))
        for before, after in zip(start, model.trainable_variables, strict=True)
    ]
    assert all(moved) and not model.estimators
    assert not model.backbone.fine_specific_encoders


def test_one_modality_alone_has_no_term_of_plus():
    with pytest.raises(ValueError, match=r"at least one term .* for modalities \('audio',\)"):
        keras_cmg.models.FCID.from_preset("plus", ("audio",))


def test_features_without_disentangling_have_unit_length():
    model = keras_cmg.models.FCID.from_preset("plus", ("audio", "text"), backbone=PLUS)
    batch = small_batch(("audio", "text"), 4)
    features = model.backbone(batch)
    assert set(features) == {"fine_general", "coarse_general", "quantized", "codes", "indices"}
    for name, x in features["coarse_general"].items():
        norms = np.linalg.norm(keras.ops.convert_to_numpy(x), axis=-1)
        np.testing.assert_allclose(norms, 1, atol=1e-5)
        one = model.backbone.encode(name, batch[name])
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(one["general"]), keras.ops.convert_to_numpy(x), atol=1e-5
        )


@pytest.mark.parametrize(
    "quantizer",
    [
        lambda: layers.Codebook(6, 8),
        lambda: layers.FSQ((3, 3)),
        lambda: layers.ResidualQuantizer(layers.Codebook(6, 8), num_levels=2),
        lambda: layers.GroupedQuantizer(layers.Codebook(6, 4), num_groups=2),
        lambda: layers.AlignedCodebook(6, 8, modalities=("audio", "text")),
    ],
    ids=["codebook", "grid", "levels", "groups", "rows"],
)
def test_plus_predicts_codes_of_any_quantizer(quantizer):
    model = compiled(
        keras_cmg.models.FCID.from_preset(
            "plus", ("audio", "text"), backbone={**PLUS, "quantizer": quantizer()}
        )
    )
    history = model.fit(small_batch(("audio", "text"), 8), epochs=4, batch_size=8, verbose=0)
    losses = history.history["code_prediction"]
    # Codes move as well, so that the loss need not fall within four steps.
    assert np.isfinite(losses).all() and len(set(losses)) == 4


def test_terms_of_disentangling_need_it():
    with pytest.raises(ValueError, match="must name terms of"):
        keras_cmg.models.FCID.from_preset("plus", loss_weights={"club_audio": 1.0})


def test_fine_club_weight_is_that_of_features_in_time_alone():
    model = keras_cmg.models.FCID.from_preset("paper", fine_club_weight=0.25)
    weights = {term: model.loss_weights[f"club_{term}"] for term in ("audio", "video", "text")}
    assert weights == {"audio": 0.25, "video": 0.25, "text": 1.0}
    given = keras_cmg.models.FCID.from_preset(
        "paper", fine_club_weight=0.25, loss_weights={"club_audio": 0.5}
    )
    assert given.loss_weights["club_audio"] == 0.5
    assert keras_cmg.models.FCID.from_config(given.get_config()).fine_club_weight == 0.25


@pytest.mark.parametrize(
    "quantizer, name, groups",
    [
        ({"class_name": "Codebook", "decay": 0.9}, "Codebook", 1),
        ({"class_name": "Codebook", "num_groups": 2}, "GroupedQuantizer", 2),
        ({"initial_norm": 1.0}, "GroupedQuantizer", 4),
        ({"num_groups": 1, "initial_norm": 0.1}, "Prototypes", 1),
    ],
)
def test_the_quantiser_of_plus_may_be_of_another_class(quantizer, name, groups):
    backbone = {**PLUS, "quantizer": quantizer}
    model = keras_cmg.models.FCID.from_preset("plus", ("audio", "text"), backbone=backbone)
    found = model.backbone.quantizer
    assert type(found).__name__ == name and getattr(found, "num_groups", 1) == groups


def test_plus_compares_captions_as_wholes():
    """A caption of as many words as the clip has seconds: the order of its codes is no matter."""
    model = keras_cmg.models.FCID.from_preset("plus", ("audio", "video", "text"), backbone=PLUS)
    batch = small_batch(("audio", "video", "text"), 4)
    frames = min(x.shape[1] for x in batch.values())
    batch = {name: x[:, :frames] for name, x in batch.items()}
    inputs = model.prepare_step(batch)
    features = dict(inputs.features[model.backbone.quantized_kind])

    def loss(*flipped):
        moved = {name: keras.ops.flip(features[name], axis=1) for name in flipped}
        kinds = {**inputs.features, model.backbone.quantized_kind: {**features, **moved}}
        found = model.code_prediction_loss(dataclasses.replace(inputs, features=kinds))
        return float(keras.ops.convert_to_numpy(found))

    assert loss("text") == pytest.approx(loss(), rel=1e-5)
    assert loss("video") != pytest.approx(loss(), rel=1e-3)
