"""Vectors are compared with codes in the space in which their codes are chosen."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg.backend import engine
from keras_cmg.layers import (
    BSQ,
    FSQ,
    LFQ,
    Codebook,
    GroupedQuantizer,
    ProjectedQuantizer,
    ResidualQuantizer,
)
from tests.helpers.small_systems import batch, small_system

RANDOM = np.random.default_rng(0)
GRIDS = {
    "FSQ": lambda: FSQ((4, 3, 5)),
    "FSQ, scaled and clipped": lambda: FSQ((3, 5), bound="clip", scale=0.5),
    "FSQ, symmetric": lambda: FSQ((4, 5), symmetric=True),
    "LFQ": lambda: LFQ(3),
    "BSQ": lambda: BSQ(4),
}


def array(x):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(x)))


@pytest.mark.every_engine
@pytest.mark.parametrize("kind", GRIDS)
def test_a_vector_gets_the_most_similar_code(kind):
    quantizer = ProjectedQuantizer(GRIDS[kind](), 6, normalize_inputs=True)
    x = RANDOM.normal(size=(40, 6)).astype("float32")
    (similar,) = quantizer.index_similarities(ops.convert_to_tensor(x))
    assert array(similar).shape == (40, quantizer.num_embeddings)
    assert array(similar).max() <= 1.0 + 1e-6
    np.testing.assert_array_equal(array(similar).argmax(axis=1), array(quantizer.encode(x)))
    probe = ops.arange(quantizer.num_embeddings, dtype="float32")
    (slope, *_), _ = engine.gradients(
        lambda v: (
            ops.sum(quantizer.index_similarities(v["x"])[0] * probe)
            + sum(0.0 * ops.sum(weight) for weight in quantizer.trainable_variables)
        ),
        [quantizer.project_in.kernel],
        {"x": x},
    )
    assert np.abs(array(slope)).max() > 0


def test_similarity_to_a_grid_is_one_minus_half_the_squared_distance():
    grid = FSQ((3, 5), scale=0.5)
    (similar,) = grid.index_similarities(np.array([[0.1, -0.2]]))
    bounded = np.tanh([0.2, -0.4]) * 1.001
    codes = array(grid.decode(np.arange(15))) / 0.5
    expected = 1 - np.mean((bounded - codes) ** 2, axis=1) / 2
    np.testing.assert_allclose(array(similar)[0], expected, rtol=1e-5)


def test_normalized_inputs_are_of_unit_mean_square():
    quantizer = ProjectedQuantizer(Codebook(8, 2), 4, normalize_inputs=True)
    x = RANDOM.normal(size=(5, 4)).astype("float32")
    plain = ProjectedQuantizer(Codebook(8, 2), 4)
    unit = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    np.testing.assert_array_equal(array(quantizer.encode(x)), array(plain.encode(unit)))
    np.testing.assert_array_equal(array(quantizer.encode(1e-3 * x)), array(quantizer.encode(x)))
    assert ProjectedQuantizer.from_config(quantizer.get_config()).normalize_inputs


@pytest.mark.parametrize("kind", GRIDS)
def test_the_code_of_a_vector_is_the_nearest_one_where_code_matching_compares(kind):
    quantizer = ProjectedQuantizer(GRIDS[kind](), 6)
    x = RANDOM.normal(size=(40, 6)).astype("float32")
    tables = quantizer.code_tables()
    (vectors,) = quantizer.split_by_index(ops.convert_to_tensor(x), tables)
    codes, unit = array(tables[0]), quantizer.distance_units[0]
    distances = np.square(array(vectors)[:, None] - codes).sum(axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), array(quantizer.encode(x)))
    np.testing.assert_allclose(np.abs(codes / unit).max(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(
        array(quantizer._nearest_in(ops.convert_to_tensor(x), tables)),
        array(quantizer.decode(quantizer.encode(x))),
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", ["FSQ", "BSQ"])
def test_levels_of_projected_grids_compare_what_each_of_them_quantises(kind):
    inner = ProjectedQuantizer(GRIDS[kind](), 6)
    levels = ResidualQuantizer(inner, num_levels=2)
    x = RANDOM.normal(size=(20, 6)).astype("float32")
    indices, tables = array(levels.encode(x)), levels.code_tables()
    for i, vectors in enumerate(levels.split_by_index(ops.convert_to_tensor(x), tables)):
        distances = np.square(array(vectors)[:, None] - array(tables[i])).sum(axis=2)
        np.testing.assert_array_equal(distances.argmin(axis=1), indices[:, i])
    np.testing.assert_allclose(
        levels.distance_units[1] / levels.distance_units[0], 0.5 if kind == "BSQ" else 1 / 3
    )


def test_codebooks_are_mapped_back():
    groups = GroupedQuantizer([ProjectedQuantizer(FSQ((3, 3)), dim) for dim in (3, 5)])
    groups.build()
    assert [tuple(codes.shape) for codes in groups.codebooks] == [(9, 3), (9, 5)]
    assert [tuple(codes.shape) for codes in groups.code_tables()] == [(9, 2), (9, 2)]
    part = groups.part(1)
    np.testing.assert_array_equal(array(groups.codebooks[1]), array(part.decode(np.arange(9))))


MATCHING = {
    "cmcm": ("fine_matching", {"warm_start_steps": 0}),
    "vanilla": ("alignment", {"alignment": "distillation"}),
    "dcid": ("code_matching", {}),
    "micu": ("code_matching", {"loss_weights": {"code_matching": 1.0}}),
    "codebind": ("code_matching", {"loss_weights": {"code_matching": 1.0}}),
}


@pytest.mark.parametrize("name", MATCHING)
def test_the_map_before_a_grid_learns_from_code_matching(name):
    term, arguments = MATCHING[name]
    model = small_system(name, backbone={"quantizer": FSQ((3, 3))}, **arguments)
    model.build({m: x.shape for m, x in batch().items()})

    def loss(x):
        return getattr(model, f"{term}_loss")(model.prepare_step(x))

    kernel = model.backbone.quantizer.project_in.kernel
    (slope, *_), _ = engine.gradients(loss, [kernel], batch())
    assert np.abs(array(slope)).max() > 0


def test_matching_of_spherical_signs_is_that_of_signs():
    """Of unit length, the distances to all codes would be nearly equal."""
    model = small_system("cmcm", backbone={"quantizer": BSQ(4)})
    model.build({m: x.shape for m, x in batch().items()})
    features = {m: x[..., :8] for m, x in batch().items()}
    features["text"] = np.concatenate([features["text"], features["text"]], axis=-1)[..., :8]
    tables = model.backbone.code_tables()
    ((vectors, codes),) = model.compared_with_codes(
        {m: ops.convert_to_tensor(x) for m, x in features.items()}, tables
    )
    np.testing.assert_allclose(np.abs(array(codes["audio"])), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(array(vectors["text"]), axis=-1), 2.0, rtol=1e-5)


@pytest.mark.parametrize("grid", [FSQ((5, 5, 5)), LFQ(6)], ids=["FSQ", "LFQ"])
def test_features_of_unit_length_use_many_codes_of_a_grid(grid):
    """The default preset quantises such; projected without a factor they are near 0."""
    keras.utils.set_random_seed(0)
    model = keras_cmg.models.FCID.from_preset(
        "plus", modalities=("audio", "text"), backbone={"quantizer": grid}
    )
    assert model.backbone.quantizer.normalize_inputs
    x = {"audio": RANDOM.normal(size=(8, 10, 128)), "text": RANDOM.normal(size=(8, 6, 64))}
    codes = model.backbone({name: v.astype("float32") for name, v in x.items()})["indices"]
    assert min(len(np.unique(array(index))) for index in codes.values()) >= 8


def test_short_features_use_many_codes_of_a_grid():
    """Those of an image encoder have a length of about 0.3 at first."""
    keras.utils.set_random_seed(0)
    images = RANDOM.random((8, 16, 16, 1)).astype("float32")
    model = keras_cmg.models.VQVAE.from_preset(
        "small", backbone={"hidden_channels": 8, "quantizer": FSQ((5, 5, 5))}
    )
    model.build({"image": images.shape})
    assert len(np.unique(array(model.backbone.encode("image", images)["indices"]))) >= 8
