"""Systems with other quantisers than their codebook."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg import layers
from keras_cmg.models.base.step_inputs import StepInputs
from keras_cmg.ops import (
    chunk_code_log_probabilities,
    chunk_matching_loss,
    code_matching_loss,
    l2_normalize,
)
from tests.helpers.small_systems import batch, compiled_system, small_system

FAMILY = {
    "BSQ": lambda: layers.BSQ(3),
    "Codebook": lambda: layers.Codebook(6, 8),
    "FSQ": lambda: layers.FSQ((3, 3)),
    "GroupedQuantizer": lambda: layers.GroupedQuantizer(
        [layers.Codebook(6, 3), layers.LearnedCodebook(5, 5)]
    ),
    "GroupedQuantizer of grids": lambda: layers.GroupedQuantizer(layers.FSQ((3, 3, 3, 3)), 2),
    "LFQ": lambda: layers.LFQ(3),
    "LearnedCodebook": lambda: layers.LearnedCodebook(6, 8, gradient="diveq"),
    "ProjectedQuantizer of levels": lambda: layers.ProjectedQuantizer(
        layers.ResidualQuantizer(layers.Codebook(6, 4), num_levels=2), 8
    ),
    "ResidualQuantizer": lambda: layers.ResidualQuantizer(
        layers.Codebook(6, 8), num_levels=2, min_levels=1
    ),
    "SimVQ": lambda: layers.SimVQ(6, 8),
}
NAMES = ("aha", "cmcm", "codebind", "dcid", "fac", "fcid", "micu", "turn", "vanilla")
SAVED = {
    ("cmcm", "BSQ"),
    ("aha", "LFQ"),
    ("dcid", "SimVQ"),
    ("fac", "GroupedQuantizer"),
    ("fcid", "FSQ"),
    ("turn", "ResidualQuantizer"),
    ("vanilla", "LearnedCodebook"),
}
"""Those that are also saved and loaded."""
QUICK = {*SAVED, ("fcid", "ResidualQuantizer"), ("vanilla", "ProjectedQuantizer of levels")}
EVERY = [
    pytest.param(name, kind, marks=() if (name, kind) in QUICK else pytest.mark.slow)
    for name in NAMES
    for kind in FAMILY
]
TEXT_MASK = np.tile([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], (4, 1))


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_a_system_trains_and_encodes_with_any_quantizer(name, kind, tmp_path):
    model = compiled_system(name, backbone={"quantizer": FAMILY[kind]()})
    data = {**batch(), "text_mask": TEXT_MASK}
    logs = model.train_on_batch(data, return_dict=True)
    assert np.isfinite(list(map(float, logs.values()))).all()
    backbone = model.backbone
    quantizer = backbone.quantizer
    assert quantizer.embedding_dim == backbone.embedding_dim == 8
    assert backbone.num_embeddings == quantizer.num_embeddings
    for level, frames in (("segment", (10,)), ("clip", ())):
        found = backbone.encode("text", data["text"], level, TEXT_MASK)
        assert tuple(found["indices"].shape) == (4, *frames, *quantizer.index_shape)
        codes = ops.convert_to_numpy(quantizer.decode(found["indices"]))
        np.testing.assert_allclose(ops.convert_to_numpy(found["quantized"]), codes, atol=1e-5)
    if (name, kind) not in SAVED:
        return
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(
        keras.tree.flatten(model.predict(data, verbose=0)),
        keras.tree.flatten(loaded.predict(data, verbose=0)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.every_engine
def test_two_levels_of_groups_train_compiled():
    """State, losses and draws of several kinds within one step of a system."""
    groups = layers.GroupedQuantizer(
        [layers.Codebook(6, 3), layers.LearnedCodebook(5, 2), layers.LFQ(3)]
    )
    quantizer = layers.ResidualQuantizer(groups, num_levels=2, min_levels=1)
    model = compiled_system("cmcm", backbone={"quantizer": quantizer}, warm_start_steps=0)
    losses = [float(model.train_on_batch(batch(), return_dict=True)["loss"]) for _ in range(3)]
    assert np.isfinite(losses).all() and len(set(losses)) == 3
    indices = model.backbone.encode("text", batch()["text"])["indices"]
    assert tuple(indices.shape) == (4, 10, 2, 3)


@pytest.mark.parametrize("kind", FAMILY)
def test_an_image_system_trains_and_reconstructs_with_any_quantizer(kind):
    images = np.random.default_rng(0).random((4, 8, 8, 1), "float32")
    model = keras_cmg.models.VQVAE.from_preset(
        "small",
        backbone={"hidden_channels": 4, "embedding_dim": 8, "quantizer": FAMILY[kind]()},
    )
    model.compile("adam")
    logs = model.train_on_batch({"image": images}, return_dict=True)
    assert np.isfinite(list(map(float, logs.values()))).all()
    quantizer = model.backbone.quantizer
    found = model.backbone.encode("image", images)
    assert tuple(found["indices"].shape) == (4, 4, *quantizer.index_shape)
    whole = model.decode(found["quantized"])
    again = model.decode(quantizer.decode(found["indices"]))
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (whole, again)), atol=1e-5)
    assert tuple(whole.shape) == images.shape


def test_code_matching_of_groups_is_the_mean_of_their_own():
    features = {name: x[:, 0] for name, x in batch().items()}
    features = {name: x[:, :8] for name, x in features.items()}
    quantizer = layers.GroupedQuantizer(layers.LearnedCodebook(5, 4, initial_scale=1.0), 2)
    model = small_system("cmcm", backbone={"quantizer": quantizer})
    model.build({name: x.shape for name, x in batch().items()})
    tables = model.backbone.code_tables()
    found = model.matching_of(StepInputs({}, {}, {}, code_tables=tuple(tables)), features)
    expected = [
        code_matching_loss({n: x[:, 4 * i : 4 * i + 4] for n, x in features.items()}, codes)
        for i, codes in enumerate(tables)
    ]
    np.testing.assert_allclose(float(found), np.mean(list(map(float, expected))), rtol=1e-6)


def test_levels_match_what_the_levels_before_leave():
    x = np.random.default_rng(0).standard_normal((5, 8)).astype("float32")
    quantizer = layers.ResidualQuantizer(layers.Codebook(6, 8, initial_scale=1.0), num_levels=3)
    quantizer.build()
    residuals = [x]
    indices = quantizer.encode(x)
    for level in range(2):
        codes = quantizer.part(level).decode(indices[:, level])
        residuals.append(residuals[-1] - ops.convert_to_numpy(codes))
    found = quantizer.split_by_index(ops.convert_to_tensor(x), quantizer.code_tables())
    for a, b in zip(found, residuals, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(a), b, atol=1e-6)


@pytest.mark.parametrize(
    "quantizer",
    [
        lambda: layers.FSQ((3, 3)),
        lambda: layers.ProjectedQuantizer(
            layers.ResidualQuantizer(layers.Codebook(6, 4), num_levels=2), 8
        ),
        lambda: layers.GroupedQuantizer(layers.LearnedCodebook(6, 4), num_groups=2),
    ],
)
def test_the_preset_that_places_codes_takes_any_quantizer(quantizer):
    model = small_system("fcid", preset="disentangled", backbone={"quantizer": quantizer()})
    model.codebook_init_step = 1
    model.compile("adam")
    model.fit(batch(clips=8), batch_size=4, epochs=1, verbose=0)
    for part in model.backbone.quantizer.adaptable_parts()[:1]:
        # From near zero, codes are now where features are.
        codes = ops.convert_to_numpy(model.backbone.code_tables()[0])
        assert np.abs(codes).max() > 2 / part.num_embeddings


def test_codes_that_cannot_be_placed_are_named():
    model = compiled_system("fcid", backbone={"quantizer": layers.FSQ((3, 3))})
    with pytest.raises(ValueError, match=r"needs a quantizer that stores its codes\. .* Projected"):
        model.fit(batch(), verbose=0, callbacks=[keras_cmg.callbacks.KMeansCodebookInit()])
    with pytest.raises(ValueError, match="FSQ stores no codes that could be placed"):
        model.backbone.adapt_codebook(batch())


def test_losses_of_a_quantizer_are_part_of_the_loss():
    totals = []
    for weight in (0.0, 100.0):
        quantizer = layers.SimVQ(6, 8, loss_weight=weight)
        model = compiled_system("vanilla", backbone={"quantizer": quantizer})
        totals.append(float(model.train_on_batch(batch(), return_dict=True)["loss"]))
    assert totals[1] > totals[0] + 1


OF_SEVERAL = {
    "groups": lambda: layers.GroupedQuantizer([layers.Codebook(6, 3), layers.Codebook(6, 5)]),
    "levels": lambda: layers.ResidualQuantizer(layers.Codebook(6, 8), num_levels=2),
    "both": lambda: layers.GroupedQuantizer(
        layers.ResidualQuantizer(layers.Codebook(6, 8), num_levels=2), num_groups=2
    ),
}


@pytest.mark.parametrize(
    ("name", "kind", "arguments"),
    [
        ("codebind", "groups", {}),
        ("codebind", "levels", {}),
        ("micu", "groups", {}),
        ("micu", "levels", {"num_passes": 2}),
        ("hdcid", "both", {}),
    ],
)
def test_code_matching_of_several_codes(name, kind, arguments):
    model = compiled_system(
        name,
        backbone={"quantizer": OF_SEVERAL[kind]()},
        loss_weights={"code_matching": 1.0},
        **arguments,
    )
    logs = model.train_on_batch({**batch(), "text_mask": TEXT_MASK}, return_dict=True)
    assert np.isfinite(list(map(float, logs.values()))).all() and logs["code_matching"] > 0


def test_chunks_match_their_own_codes():
    quantizer = OF_SEVERAL["groups"]()
    model = small_system("codebind", backbone={"quantizer": quantizer})
    inputs = model.prepare_step(batch())
    clips = inputs.clip_features(inputs.features["general"])
    found = model.code_matching_loss(inputs)
    expected = []
    for codes, channels in zip(inputs.code_tables, (slice(0, 3), slice(3, 8)), strict=True):
        log_p = {
            m: chunk_code_log_probabilities(x[:, channels], l2_normalize(codes))
            for m, x in clips.items()
        }
        expected.append(chunk_matching_loss(log_p["audio"], log_p["text"]))
    found, *expected = (float(ops.stop_gradient(value)) for value in (found, *expected))
    np.testing.assert_allclose(found, np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "quantizer", "message"),
    [
        ("codis", layers.SimVQ, "must have `similarities` .* Received: SimVQ"),
        ("aha", layers.AlignedCodebook, "of AHABackbone must have the same codes for all"),
        ("codebind", layers.AlignedCodebook, "of CodeBindBackbone must have the same codes for"),
        ("codaar", layers.SimVQ, "must have an `AlignedCodebook` .* Received: SimVQ"),
    ],
)
def test_quantizers_without_a_meaning_are_named(name, quantizer, message):
    with pytest.raises(ValueError, match=message):
        small_system(name, backbone={"quantizer": quantizer(6, 8)})


def test_grids_of_a_second_level_are_named():
    with pytest.raises(ValueError, match="must have two groups, one for each level"):
        small_system("hdcid", backbone={"quantizer": layers.FSQ((3, 3))})
