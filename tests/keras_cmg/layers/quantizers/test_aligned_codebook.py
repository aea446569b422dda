"""Rows of one code per modality: look-up, gradient, updates, replacement."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import AlignedCodebook
from keras_cmg.ops import aligned_codes
from tests.helpers.layer_checks import gradient
from tests.helpers.small_systems import batch, compiled_system

NAMES = ("video", "audio", "text")
RANDOM = np.random.default_rng(0)
X = {m: RANDOM.standard_normal((3, 4, 2)).astype("float32") for m in NAMES}


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def made(**arguments):
    layer = AlignedCodebook(
        **{"num_embeddings": 5, "embedding_dim": 2, "initial_scale": 1.0, **arguments}
    )
    layer.build()
    return layer


def test_a_vector_chooses_by_its_own_block_and_becomes_the_row():
    layer = made()
    out, table = layer(X), array(layer.codebook)
    for i, name in enumerate(NAMES):
        block = table[:, 2 * i : 2 * i + 2]
        distances = ((X[name][:, :, None] - block) ** 2).sum(axis=-1)
        indices = distances.argmin(axis=-1)
        np.testing.assert_array_equal(array(out[name]["indices"]), indices)
        np.testing.assert_allclose(array(out[name]["quantized"]), table[indices], atol=1e-6)
        np.testing.assert_allclose(array(out[name]["codes"]), block[indices], atol=1e-6)
        alone = layer.assign_codes(X[name], name)
        np.testing.assert_allclose(array(alone["quantized"]), table[indices], atol=1e-6)


def test_the_gradient_of_a_row_reaches_all_modalities_by_their_blocks():
    layer, slope = made(), RANDOM.standard_normal((3, 4, 6)).astype("float32")

    def total(x):
        rows = layer({**X, "audio": x}, weights=weights)["text"]["quantized"]
        return ops.sum(rows * ops.convert_to_tensor(slope))

    weights = {}
    np.testing.assert_allclose(gradient(total, X["audio"]), slope[..., 2:4], rtol=1e-5)
    weights = {"audio": np.array([[1, 1, 0, 1]] * 3, "float32")}
    expected = slope[..., 2:4] * weights["audio"][..., None]
    np.testing.assert_allclose(gradient(total, X["audio"]), expected, rtol=1e-5)


def test_each_block_follows_its_own_averages_and_is_then_moved_to_the_others():
    layer = made(decay=0.9, own_weight=0.6)
    before = layer.blocks(array(layer.codebook))
    layer(X, training=True)
    blocks = {}
    for i, name in enumerate(NAMES):
        others = [X[m] for m in NAMES if m != name]
        mixed = 0.6 * X[name] + 0.2 * others[0] + 0.2 * others[1]
        distances = ((X[name][:, :, None] - before[name]) ** 2).sum(axis=-1)
        one_hot = np.eye(5)[distances.argmin(axis=-1).ravel()]
        counts = 0.9 + 0.1 * one_hot.sum(axis=0)
        counts = (counts + 1e-5) / (counts.sum() + 5e-5) * counts.sum()
        sums = 0.9 * before[name] + 0.1 * one_hot.T @ mixed.reshape(-1, 2)
        np.testing.assert_allclose(array(layer.ema_counts)[i], counts, rtol=1e-4)
        blocks[name] = sums / counts[:, None]
    text = sum(blocks.values()) / 3
    audio = (blocks["video"] + blocks["audio"] + text) / 3
    video = (blocks["video"] + audio + text) / 3
    expected = np.concatenate([video, audio, text], axis=1)
    np.testing.assert_allclose(array(layer.codebook), expected, rtol=1e-3, atol=1e-5)
    plain = made(decay=0.9, own_weight=0.6, cascade=False)
    plain(X, training=True)
    expected = np.concatenate(list(blocks.values()), axis=1)
    np.testing.assert_allclose(array(plain.codebook), expected, rtol=1e-3, atol=1e-5)


def test_an_absent_modality_keeps_its_averages():
    layer = made(zero_initial_counts=True, cascade=False)
    before = array(layer.codebook)
    layer({m: X[m] for m in ("video", "audio")}, training=True)
    after = array(layer.codebook)
    np.testing.assert_array_equal(after[:, 4:], before[:, 4:])
    assert np.isfinite(after).all() and np.abs(after[:, :4] - before[:, :4]).max() > 0


def test_dead_rows_become_vectors_of_all_modalities_at_one_frame():
    layer = made(num_embeddings=40, dead_code_patience=1, replacement_noise=0.0)
    for _ in range(2):
        layer(X, training=True)
    rows = np.concatenate([X[m].reshape(-1, 2) for m in NAMES], axis=1)
    table = array(layer.codebook)
    replaced = [row for row in table if np.abs(rows - row).max(axis=1).min() < 1e-6]
    assert len(replaced) >= 40 - 3 * 12


def test_alignment_of_rows_is_contrast_between_blocks():
    rows = {m: RANDOM.standard_normal((4, 3)) for m in NAMES}
    same = dict.fromkeys(NAMES, rows["video"])
    assert float(aligned_codes.row_alignment_loss(same)) < float(
        aligned_codes.row_alignment_loss(rows)
    )
    assert float(aligned_codes.row_alignment_loss({"video": rows["video"]})) == 0
    assert list(aligned_codes.cascade_blocks(rows)) == list(NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"own_weight": 1.5}, r"`own_weight` must lie in \[0, 1\]"),
        ({"similarity": "cosine"}, "`similarity` must be 'euclidean'"),
        ({"gradient": "rotation"}, r"`gradient` must be one of \('straight_through',\)"),
        ({"modalities": ("audio", "audio")}, "`modalities` must hold at least one name, each"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)


def test_bad_inputs_are_named():
    layer = made()
    with pytest.raises(ValueError, match=r"inputs must be a dict of modalities .* one tensor"):
        layer(X["audio"])
    with pytest.raises(ValueError, match=r"Received: \['smell'\]"):
        layer({"smell": X["audio"]})
    with pytest.raises(ValueError, match=r"`modality` must be one of .* Received: None"):
        layer.assign_codes(X["audio"])


def test_it_is_saved_with_its_symbolic_shapes(tmp_path):
    inputs = {m: keras.Input((4, 2), name=m) for m in NAMES}
    out = made()(inputs)
    assert out["text"]["quantized"].shape == (None, 4, 6)
    assert out["text"]["codes"].shape == (None, 4, 2)
    model = keras.Model(inputs, out["text"]["quantized"])
    model.save(tmp_path / "rows.keras")
    loaded = keras.saving.load_model(tmp_path / "rows.keras", safe_mode=True)
    np.testing.assert_array_equal(array(model(X)), array(loaded(X)))


def test_fcid_takes_aligned_codes():
    modalities = ("audio", "video", "text")
    aligned = {"quantizer": {"class_name": "AlignedCodebook", "gradient": "straight_through"}}
    model = compiled_system("fcid", modalities, backbone=aligned)
    x = batch(modalities)
    model.backbone.adapt_codebook(x)
    assert np.isfinite(model.fit(x, epochs=2, verbose=0).history["loss"]).all()
    assert model.backbone.codebook.shape == (6, 24)
    codes = model.backbone.encode("text", x["text"], "clip")
    assert tuple(codes["quantized"].shape) == (4, 24)
    features = array(model.backbone.index_features("text", codes))
    np.testing.assert_allclose(features[:, 16:], array(codes["general"]), atol=1e-6)
    np.testing.assert_allclose(features[:, :16], array(codes["quantized"])[:, :16], atol=1e-6)


def codes_after(inputs, weights=None, steps=3, **arguments):
    layer = made(dead_code_patience=1, **arguments)
    for _ in range(steps):
        layer(inputs, weights=weights, training=True)
    return [array(v) for v in layer.variables]


def test_padded_frames_change_nothing():
    padding = {m: np.concatenate([x, 100 * np.ones((2, 4, 2), "float32")]) for m, x in X.items()}
    weights = dict.fromkeys(NAMES, np.repeat([[1], [1], [1], [0], [0]], 4, axis=1))
    for a, b in zip(codes_after(X), codes_after(padding, weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_where_nothing_counts_no_row_moves():
    layer = made()
    before = [array(v) for v in layer.variables if not v.path.endswith("step")]
    layer(X, weights=dict.fromkeys(NAMES, np.zeros((3, 4))), training=True)
    after = [array(v) for v in layer.variables if not v.path.endswith("step")]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_rows_stay_in_training_and_at_centers():
    layer = made(frozen_codes=(1, 3), dead_code_patience=1)
    before = array(layer.codebook)
    for _ in range(4):
        layer(X, training=True)
    layer.adapt(RANDOM.standard_normal((20, 6)))
    moved = np.any(array(layer.codebook) != before, axis=1)
    assert moved.tolist() == [True, False, True, False, True]
    layer.trainable = False
    before = [array(v) for v in layer.variables]
    layer(X, training=True)
    for a, b in zip(before, layer.variables, strict=True):
        np.testing.assert_array_equal(a, array(b))


@pytest.mark.parametrize("half", ["float16", "mixed_bfloat16"])
def test_state_is_float32_under_every_policy(half):
    layer = made(dtype=half)
    out = layer({m: ops.cast(x, half.removeprefix("mixed_")) for m, x in X.items()}, training=True)
    assert keras.backend.standardize_dtype(out["audio"]["quantized"].dtype) == "float32"
    assert {v.dtype for v in layer.variables} == {"float32", "int32"}


def test_use_of_rows_is_counted():
    layer = made()
    found = layer.code_metrics(np.array([[0, 0], [1, 1]]))
    assert {k: round(float(v), 4) for k, v in found.items()} == {
        "perplexity": 2.0,
        "used": 2.0,
        "unused": 3.0,
    }
