"""CodeBind: chunks and their codes, terms by hand, pairs and widths."""

import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg import ops as cmg
from tests.helpers.small_systems import batch, compiled_system, small_system

MODALITIES = ("audio", "video", "text")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses_of(model, x):
    return {k: float(array(v)) for k, v in model.main_losses(model.prepare_step(x)).items()}


def clips_of(features, kind):
    return {m: array(v).mean(axis=1) for m, v in features[kind].items()}


def test_chunks_of_unit_length_have_codes_of_one_shared_codebook():
    model, x = small_system("codebind", MODALITIES), batch(MODALITIES)
    features, backbone = model(x), model.backbone
    codebook = array(backbone.quantizer.part(0).codebook)
    assert codebook.shape == (6, 4)
    np.testing.assert_allclose(np.linalg.norm(codebook, axis=1), 1, rtol=1e-5)
    for name in MODALITIES:
        general = array(features["general"][name]).reshape(4, 10, 2, 4)
        np.testing.assert_allclose(np.linalg.norm(general, axis=-1), 1, rtol=1e-4)
        indices = array(features["indices"][name])
        np.testing.assert_array_equal(indices, (general @ codebook.T).argmax(axis=-1))
        codes = codebook[indices].reshape(4, 10, 8)
        np.testing.assert_allclose(array(features["quantized"][name]), codes, atol=1e-6)
    assert set(features["specific"]) == {"audio", "video"}
    tables = [array(codes) for codes in backbone.code_tables()]
    assert [codes.shape for codes in tables] == [(6, 4)] * 2
    np.testing.assert_array_equal(*tables)
    clip = array(backbone.encode("audio", x["audio"], "clip")["general"]).reshape(4, 2, 4)
    np.testing.assert_allclose(np.linalg.norm(clip, axis=-1), 1, rtol=1e-4)


def test_terms_by_hand():
    model, x = small_system("codebind", MODALITIES), batch(MODALITIES)
    found, features = losses_of(model, x), model(x)
    shared = clips_of(features, "quantized")
    pairs = (("audio", "video"), ("audio", "text"), ("video", "text"))
    contrast = [2 * float(cmg.info_nce(shared[a], shared[b], 0.05, True)) for a, b in pairs]
    assert found["infonce"] == pytest.approx(np.mean(contrast), rel=1e-4)
    codebook, general = model.backbone.quantizer.part(0).codebook, clips_of(features, "general")
    log_p = {m: cmg.chunk_code_log_probabilities(v, codebook) for m, v in general.items()}
    matching = [float(cmg.chunk_matching_loss(log_p[a], log_p[b])) for a, b in pairs]
    assert found["code_matching"] == pytest.approx(np.mean(matching), rel=1e-4)
    distances = [
        np.mean((array(features[kind][m]) - array(features[codes][m])) ** 2)
        for kind, codes in (("general", "codes"), ("specific", "specific_codes"))
        for m in features[kind]
    ]
    assert found["commitment"] == pytest.approx(0.25 * sum(distances), rel=1e-4)
    specific = clips_of(features, "specific_quantized")
    spread = [float(cmg.uniformity_loss(v)) for v in specific.values()]
    assert found["uniformity"] == pytest.approx(np.mean(spread), rel=1e-4)
    overlaps = [
        array(cmg.frame_overlap(features["quantized"][m], features["specific_quantized"][m]))
        for m in ("audio", "video")
    ]
    assert found["decomposition"] == pytest.approx(np.mean(overlaps), rel=1e-4)
    errors = []
    for m, decoder in model.decoders.items():
        target = x[m] if x[m].ndim == 3 else x[m].mean(axis=(2, 3))
        rebuilt = array(decoder(features["quantized"][m], features["specific_quantized"][m]))
        errors.append(np.mean((rebuilt - target) ** 2))
    assert len(errors) == 2
    assert found["reconstruction"] == pytest.approx(sum(errors), rel=1e-4)


def test_bridges_choose_the_pairs():
    model = small_system("codebind", MODALITIES, bridges=("text",))
    assert model.pairs() == [("audio", "text"), ("video", "text")]
    with pytest.raises(ValueError, match=r"`bridges` must name modalities of .*'smell'"):
        small_system("codebind", bridges=("smell",))


def test_without_specific_parts_their_terms_do_not_apply():
    model = small_system("codebind", backbone={"shared_only": ("audio", "text")})
    assert model.loss_names == ("commitment", "infonce", "code_matching")
    x = batch()
    assert np.isfinite(compiled_system("codebind").fit(x, verbose=0).history["loss"]).all()
    assert np.isfinite(losses_of(model, x)["loss"])


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"`chunk_dim` must divide .* Received: 3 for 8 and 8"):
        small_system("codebind", backbone={"chunk_dim": 3})
    with pytest.raises(ValueError, match="'decomposition' where `embedding_dim` and"):
        small_system("codebind", backbone={"specific_dim": 4})
    model = small_system(
        "codebind", backbone={"specific_dim": 4}, loss_weights={"decomposition": 0.0}
    )
    assert np.isfinite(losses_of(model, batch())["loss"])


def test_the_reference_has_the_authors_sizes_and_weights():
    model = keras_cmg.models.CodeBind.from_preset("reference")
    backbone = model.backbone
    assert (backbone.embedding_dim, backbone.specific_dim, backbone.chunk_dim) == (1024, 1024, 8)
    assert (backbone.num_embeddings, backbone.specific_embeddings) == (1024, 256)
    assert backbone.quantizer.index_shape == (128,)
    assert set(backbone.specific_quantizers) == {"audio", "video"}
    weights = {"commitment": 50.0, "decomposition": 0.1, "uniformity": 1.0, "code_matching": 0.0}
    assert {term: model.loss_weights[term] for term in weights} == weights
