import re

import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg.models import FCIDBackbone, ModalityEncoder
from tests.helpers.small_fcid import small_batch, small_fcid


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def built():
    model = small_fcid()
    model(small_batch())
    return model.backbone


def changed(**changes):
    return {**small_batch(), **changes}


@pytest.mark.parametrize(
    "batch, message",
    [
        (
            changed(audio=small_batch()["audio"][:, 0]),
            r"'audio' must have shape \(batch, frames, 12\)",
        ),
        (changed(audio=small_batch()["audio"][..., :7]), r"\(batch, frames, 12\).*\(4, 10, 7\)"),
        (changed(video=small_batch()["video"][:, 0]), r"'video' .*\(batch, frames, 7, 7, 6\)"),
        (changed(text=small_batch()["text"][:3]), r"same clips.*'text': 3"),
        ({"audio": small_batch()["audio"]}, r"Missing: \['video', 'text'\]"),
        (small_batch()["audio"], r"must be a dict of the modalities"),
    ],
)
def test_bad_batches_are_named(batch, message):
    with pytest.raises(ValueError, match=message):
        built()(batch)


@pytest.mark.parametrize("shape", [(4,), (4, 9), (3, 5), (4, 5, 1)])
def test_bad_masks_are_named(shape):
    with pytest.raises(ValueError, match=r"`text_mask` must have shape .* \(4, 5\)"):
        built()(changed(text_mask=np.ones(shape)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("smell", small_batch()["audio"]), r"`modality` must be one of .*'smell'"),
        (("audio", small_batch()["audio"], "word"), r"`level` must be one of .*'word'"),
        (("audio", small_batch()["text"]), r"'audio' must have shape .*\(4, 5, 8\)"),
        (("audio", small_batch()["audio"][0]), r"'audio' must have shape .*\(10, 12\)"),
    ],
)
def test_bad_calls_of_encode_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        built().encode(*arguments)


def test_encode_before_the_shapes_are_known_says_so():
    with pytest.raises(ValueError, match=r"does not know the shapes .* before `encode`"):
        FCIDBackbone.from_preset("small").encode("audio", small_batch()["audio"])


@pytest.mark.parametrize("level", ["segment", "clip"])
def test_quantized_features_are_codes(level):
    backbone = built()
    for name, x in small_batch().items():
        codes = backbone.encode(name, x, level)
        expected = backbone.codebook[array(codes["indices"])]
        np.testing.assert_allclose(array(codes["quantized"]), expected, atol=1e-5)


def test_number_of_frames_is_free():
    backbone, x = built(), small_batch()["audio"]
    assert tuple(backbone.encode("audio", x[:, :3])["indices"].shape) == (4, 3)


def test_order_of_modalities_changes_no_code():
    batch = small_batch()
    forth, back = small_fcid(), small_fcid(("text", "video", "audio"))
    forth(batch)
    back(batch)

    def place(variable):
        return re.sub(r"^.*fcid_backbone[^/]*/", "", variable.path)

    by_place = {place(v): v for v in forth.backbone.weights}
    for v in back.backbone.weights:
        v.assign(by_place[place(v)])
    for name, indices in forth(batch)["indices"].items():
        np.testing.assert_array_equal(array(indices), array(back(batch)["indices"][name]))


@pytest.mark.parametrize("level", ["segment", "clip"])
def test_modality_encoder_predicts_what_encode_gives(level):
    backbone, x = built(), small_batch(clips=5)["video"]
    predicted = ModalityEncoder(backbone, "video", level).predict(x, batch_size=2, verbose=0)
    expected = backbone.encode("video", x, level)
    np.testing.assert_array_equal(predicted["indices"], array(expected["indices"]))
    np.testing.assert_allclose(predicted["general"], array(expected["general"]), atol=1e-5)


def test_modality_encoder_takes_a_batch_with_its_mask():
    backbone, batch = built(), small_batch()
    mask = np.array([[1, 1, 0, 0, 0]] * 4, "float32")
    whole = ModalityEncoder(backbone, "text", "clip")
    masked = array(whole({**batch, "text_mask": mask})["general"])
    short = array(backbone.encode("text", batch["text"][:, :2], "clip")["general"])
    np.testing.assert_allclose(masked, short, rtol=1e-4, atol=1e-5)


def test_modality_encoder_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="'smell'"):
        ModalityEncoder(built(), "smell")
    with pytest.raises(ValueError, match="'word'"):
        ModalityEncoder(built(), "audio", "word")


def test_a_refused_batch_leaves_the_backbone_as_it_was():
    backbone = FCIDBackbone.from_preset("small", modalities=("audio",))
    with pytest.raises(ValueError, match=r"'audio' must have shape \(batch, frames, dim\) or"):
        backbone({"audio": np.zeros((2, 128), "float32")})
    codes = backbone.encode("audio", np.zeros((2, 10, 128), "float32"))
    assert tuple(codes["indices"].shape) == (2, 10)


def test_groups_of_the_named_quantiser():
    backbone = keras_cmg.models.SequenceBackbone(
        ("audio",),
        num_embeddings=6,
        embedding_dim=8,
        quantizer={"class_name": "LearnedCodebook", "num_groups": 4, "initial_scale": 2.0},
    )
    quantizer = backbone.quantizer
    assert quantizer.index_shape == (4,) and backbone.num_embeddings == 6
    assert {part.embedding_dim for part in quantizer.quantizers} == {2}
    assert {part.initial_scale for part in quantizer.quantizers} == {2.0}
    assert len({part.seed for part in quantizer.quantizers}) == 4
    backbone.build({"audio": (None, None, 5)})
    again = type(backbone).from_config(backbone.get_config())
    assert again.quantizer.get_config() == quantizer.get_config()
    codes = backbone.encode("audio", np.ones((1, 3, 5), "float32"))
    rows = backbone.codebook.reshape(4, 6, 8)
    chosen = array(codes["indices"])[0, 0]
    total = sum(rows[group, code] for group, code in enumerate(chosen))
    np.testing.assert_allclose(array(codes["quantized"])[0, 0], total, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_groups": 3}, "`num_groups` of `quantizer` must be an int that divides .* 8.*: 3"),
        ({"num_groups": 0}, "`num_groups` of `quantizer` must be an int .*: 0"),
        ({"num_groups": 2, "class_name": "AlignedCodebook"}, "must be 1 for AlignedCodebook.*: 2"),
    ],
)
def test_bad_groups_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_cmg.models.SequenceBackbone(("audio",), embedding_dim=8, quantizer=arguments)


def test_batches_that_codes_are_placed_by_may_be_tuples():
    backbone, x = built(), small_batch()
    expected = backbone.codebook_features([x, x])
    np.testing.assert_array_equal(backbone.codebook_features([(x,), (x,)]), expected)
