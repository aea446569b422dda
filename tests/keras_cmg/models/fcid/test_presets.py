"""What the presets of FCID promise of each other."""

import pytest

import keras_cmg
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


def test_what_is_published_has_no_switch_of_plus():
    for name in ("paper", "paper_small", "reference", "small"):
        model = keras_cmg.models.FCID.from_preset(name)
        assert model.codebook_init_step is None and model.infonce_pairs == "coarse"
        assert model.backbone.quantizer.gradient == "straight_through"
        assert model.backbone.quantize_level == "clip"
        assert "segment_infonce" not in model.loss_names
        assert {model.loss_weights[term] for term in ("infonce", "club_audio", "club_video")} == {
            1.0
        }


@pytest.mark.every_engine
def test_plus_trains():
    sizes = {"general": {"feedforward_units": 8}, "embedding_dim": 8, "num_embeddings": 6}
    narrow = {"club": {"hidden_units": 4}, "cpc": {"units": 4}, "decoder_channels": 3}
    # Two sequences in step: every term, and no feature maps to compile.
    modalities = ("audio", "depth")
    model = compiled(
        keras_cmg.models.FCID.from_preset("plus", modalities, backbone=sizes, **narrow)
    )
    history = model.fit(small_batch(modalities, 8), epochs=4, batch_size=8, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_fine_club_weight_is_that_of_features_in_time_alone():
    model = keras_cmg.models.FCID.from_preset("paper", fine_club_weight=0.25)
    weights = {term: model.loss_weights[f"club_{term}"] for term in ("audio", "video", "text")}
    assert weights == {"audio": 0.25, "video": 0.25, "text": 1.0}
    given = keras_cmg.models.FCID.from_preset(
        "paper", fine_club_weight=0.25, loss_weights={"club_audio": 0.5}
    )
    assert given.loss_weights["club_audio"] == 0.5
    assert keras_cmg.models.FCID.from_config(given.get_config()).fine_club_weight == 0.25
