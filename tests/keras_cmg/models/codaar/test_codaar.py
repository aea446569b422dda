"""What is special about CoDAAR: rows of codes, and what reads them."""

import numpy as np
import pytest
from keras import ops

import keras_cmg
from tests.helpers.small_systems import batch, small_system

MODALITIES = ("audio", "video", "text")


@pytest.fixture(scope="module")
def trained():
    model, x = small_system("codaar", MODALITIES), batch(MODALITIES)
    model.backbone.adapt_codebook(x)
    return model, x


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_codes_of_all_modalities_are_in_the_rows_that_each_chooses(trained):
    model, x = trained
    backbone = model.backbone
    assert backbone.codebook.shape == (6, 24) and backbone.code_dim == 24
    for name in MODALITIES:
        codes = backbone.encode(name, x[name])
        assert tuple(codes["general"].shape) == (4, 10, 8)
        np.testing.assert_allclose(
            array(codes["quantized"]), backbone.codebook[array(codes["indices"])], atol=1e-6
        )
    toc = keras_cmg.layers.TOCChannelMask(5)
    toc.adapt(backbone.codebook)
    assert tuple(toc(codes["quantized"]).shape) == (4, 10, 5)


def test_an_index_finds_clips_by_their_rows(trained):
    model, x = trained
    index = keras_cmg.search.CodeIndex(model.backbone.codebook)
    index.add_clips(model.backbone, "audio", x["audio"], ids=[0, 1, 2, 3])
    found = index.search_clips(model.backbone, "audio", x["audio"], 1, num_codes=6)
    assert found["ids"][:, 0].tolist() == [0, 1, 2, 3]
    assert index.search_clips(model.backbone, "text", x["text"], 2)["ids"].shape == (4, 2)


def test_code_matching_compares_each_modality_with_its_own_codes(trained):
    model, x = trained
    inputs = model.prepare_step(x)
    blocks = model.backbone.quantizer.blocks(inputs.code_tables[0])
    expected = keras_cmg.ops.code_matching_loss(inputs.features["general"], blocks)
    assert float(array(model.code_matching_loss(inputs))) == pytest.approx(float(array(expected)))


def test_another_quantizer_is_refused():
    with pytest.raises(ValueError, match="must have an `AlignedCodebook` as its quantiser"):
        keras_cmg.models.CoDAAR(keras_cmg.models.DCIDBackbone(("audio",)))
    rows = keras_cmg.layers.AlignedCodebook(6, 256, modalities=("audio",))
    with pytest.raises(ValueError, match=r"codes of the modalities \('audio', 'text'\)"):
        keras_cmg.models.DCIDBackbone(("audio", "text"), quantizer=rows)
