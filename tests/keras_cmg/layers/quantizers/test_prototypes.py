"""Prototypes: looked up by cosine, moved by gradient alone."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers import GroupedQuantizer, LearnedCodebook, Prototypes, ResidualQuantizer

RANDOM = np.random.default_rng(0)


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def built(**arguments):
    layer = Prototypes(**{"num_embeddings": 5, "embedding_dim": 3, **arguments})
    layer.build()
    return layer


def test_the_most_similar_is_chosen_whatever_the_lengths():
    layer = built()
    x = RANDOM.normal(size=(2, 4, 3)).astype("float32")
    raw = array(layer.prototypes)
    cosine = x @ raw.T / np.linalg.norm(raw, axis=1) / np.linalg.norm(x, axis=2, keepdims=True)
    for scale in (1.0, 100.0):
        codes = layer({"audio": scale * x})["audio"]
        np.testing.assert_array_equal(array(codes["indices"]), cosine.argmax(axis=-1))
        np.testing.assert_allclose(
            array(codes["codes"]), array(layer.codebook)[cosine.argmax(axis=-1)], rtol=1e-5
        )
    np.testing.assert_allclose(array(layer.similarities(x)), cosine, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(array(layer.codebook), axis=1), 1, rtol=1e-5)


def test_looking_up_is_straight_through_and_moves_nothing():
    layer, x = built(), RANDOM.normal(size=(4, 3)).astype("float32")
    before = array(layer.prototypes)
    found, slopes = engine.gradients(
        lambda v: ops.sum(layer(v["x"], training=True)["quantized"]), [layer.prototypes], {"x": x}
    )
    np.testing.assert_array_equal(array(slopes["x"]), 1.0)
    np.testing.assert_array_equal(array(found[0]), 0.0)
    np.testing.assert_array_equal(array(layer.prototypes), before)


def test_similarities_move_the_prototypes():
    layer, x = built(), RANDOM.normal(size=(4, 3)).astype("float32")
    found, _ = engine.gradients(
        lambda v: ops.sum(layer.similarities(v["x"])), [layer.prototypes], {"x": x}
    )
    assert np.abs(array(found[0])).min() > 0


def test_symbolic_shapes_and_precision():
    outputs = built(dtype="mixed_bfloat16")(keras.Input((7, 3), dtype="bfloat16"))
    assert outputs["codes"].shape == (None, 7, 3) and outputs["codes"].dtype == "float32"
    assert outputs["indices"].shape == (None, 7)


def test_places_can_be_given_by_features():
    layer = built(num_embeddings=2)
    layer.adapt(np.array([[[2.0, 0, 0], [0, 5.0, 0]]]))
    np.testing.assert_allclose(np.sort(array(layer.codebook), axis=0)[1], [1, 1, 0], atol=1e-6)
    for bad, message in (
        (np.zeros((0, 3)), "at least one vector"),
        (np.zeros((2, 4)), r"\(\.\.\., 3\)"),
        (np.full((2, 3), np.nan), "must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.adapt(bad)


def test_bad_sizes_are_named():
    for name in ("num_embeddings", "embedding_dim"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1"):
            Prototypes(**{name: 0})


def test_shorter_prototypes_turn_further():
    """Their direction alone counts, so that the length sets the size of a step."""
    start = np.random.default_rng(0).standard_normal((8, 4)).astype("float32")
    moved = {}
    for norm in (1.0, 0.1):
        layer = Prototypes(3, 4, initial_norm=norm)
        layer.adapt(start)
        before = np.array(keras.ops.convert_to_numpy(layer.codebook))
        lengths = np.linalg.norm(keras.ops.convert_to_numpy(layer.prototypes), axis=1)
        np.testing.assert_allclose(lengths, norm, rtol=1e-5)
        step = np.random.default_rng(1).standard_normal((3, 4)).astype("float32")
        layer.prototypes.assign_add(0.01 * step)
        after = np.array(keras.ops.convert_to_numpy(layer.codebook))
        moved[norm] = np.linalg.norm(after - before)
    assert moved[0.1] > 5 * moved[1.0]
    config = Prototypes(3, 4, initial_norm=0.1).get_config()
    assert Prototypes.from_config(config).initial_norm == 0.1
    with pytest.raises(ValueError, match="`initial_norm` must be positive"):
        Prototypes(3, 4, initial_norm=0.0)


def test_groups_of_prototypes_learn_by_their_similarities():
    groups = GroupedQuantizer([Prototypes(5, 2, seed=1), Prototypes(4, 3, seed=2)])
    groups.build()
    x = RANDOM.normal(size=(6, 5)).astype("float32")
    found = groups.index_similarities(ops.convert_to_tensor(x))
    for part, channels, similar in zip(groups.quantizers, (x[:, :2], x[:, 2:]), found, strict=True):
        np.testing.assert_allclose(array(similar), array(part.similarities(channels)), 1e-6)
        np.testing.assert_array_equal(array(similar).argmax(axis=1), array(part.encode(channels)))
    variables = [part.prototypes for part in groups.quantizers]
    slopes, _ = engine.gradients(
        lambda v: sum(ops.sum(each) for each in groups.index_similarities(v["x"])),
        variables,
        {"x": x},
    )
    assert all(np.abs(array(slope)).max() > 0 for slope in slopes)


def test_codes_of_other_quantisers_do_not_learn_by_similarities():
    levels = ResidualQuantizer(LearnedCodebook(5, 3), num_levels=2)
    levels.build()
    x = RANDOM.normal(size=(6, 3)).astype("float32")
    tables = levels.code_tables()
    parts = levels.split_by_index(ops.convert_to_tensor(x), tables)
    similar = levels.index_similarities(ops.convert_to_tensor(x))
    for found, vectors, codes in zip(similar, map(array, parts), map(array, tables), strict=True):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        codes = codes / np.linalg.norm(codes, axis=1, keepdims=True)
        np.testing.assert_allclose(array(found), unit @ codes.T, rtol=1e-4, atol=1e-5)
    probe = keras.Variable(np.ones(3, "float32"))
    slopes, _ = engine.gradients(
        lambda v: (
            ops.sum(levels.index_similarities(v["x"] * probe)[0] * ops.arange(5.0))
            + sum(0.0 * ops.sum(part.codebook) for part in levels.quantizers)
        ),
        [probe, *levels.trainable_variables],
        {"x": x},
    )
    assert np.abs(array(slopes[0])).max() > 0
    assert not any(np.abs(array(slope)).max() > 0 for slope in slopes[1:])
