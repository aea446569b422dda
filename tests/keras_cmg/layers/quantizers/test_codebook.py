import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import Codebook, Prototypes
from keras_cmg.ops import rotation_trick
from tests.helpers import numpy_reference
from tests.helpers.layer_checks import gradient, numpy_state, unchanged


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(value))


def small(**kwargs):
    arguments = {"num_embeddings": 5, "embedding_dim": 3, "initial_scale": 1.0}
    layer = Codebook(**{**arguments, **kwargs})
    layer.build()
    return layer


@pytest.mark.parametrize("modalities", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [None, 4])
def test_training_equals_the_loops_over_many_steps(modalities, frames):
    layer = small(decay=0.9, dead_code_patience=None)
    names = ["audio", "video", "text", "depth"][:modalities]
    counts, sums = array(layer.ema_counts), array(layer.ema_sums)
    for step in range(3):
        shape = (6, 3) if frames is None else (6, frames, 3)
        features = {name: draw(*shape, seed=10 * step + i) for i, name in enumerate(names)}
        codebook = array(layer.codebook)
        outputs = layer(features, training=True)
        indices = {m: numpy_reference.nearest_codes(x, codebook) for m, x in features.items()}
        for name in names:
            np.testing.assert_array_equal(array(outputs[name]["indices"]), indices[name])
            np.testing.assert_array_equal(array(outputs[name]["codes"]), codebook[indices[name]])
        counts, sums = numpy_reference.mm_ema(features, indices, counts, sums, 0.9, 1e-5)
        np.testing.assert_allclose(array(layer.ema_counts), counts, rtol=1e-4)
        np.testing.assert_allclose(
            array(layer.codebook), sums / counts[:, None], rtol=1e-3, atol=1e-5
        )


def test_a_modality_alone_equals_plain_input():
    together, alone = small(), small()
    x = draw(6, 3)
    together({"audio": x}, training=True)
    alone(x, training=True)
    assert unchanged(together, numpy_state(alone))


def test_gradient_passes_straight_through():
    layer, weight = small(), ops.convert_to_tensor(draw(4, 3, seed=1))
    found = gradient(lambda x: ops.sum(layer(x)["quantized"] * weight), draw(4, 3))
    np.testing.assert_allclose(found, array(weight), rtol=1e-6)


def test_gradient_of_the_rotation_is_a_switch():
    layer, weight = small(gradient="rotation"), ops.convert_to_tensor(draw(4, 3, seed=1))
    x = draw(4, 3)
    codes = layer(x)["codes"]
    found = gradient(lambda v: ops.sum(layer(v)["quantized"] * weight), x)
    expected = gradient(lambda v: ops.sum(rotation_trick(v, codes) * weight), x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert small().gradient == "straight_through"


@pytest.mark.parametrize("freeze", [False, True])
def test_inference_and_frozen_training_move_nothing(freeze):
    layer = small(dead_code_patience=1)
    layer.trainable = not freeze
    before = numpy_state(layer)
    for step in range(4):
        layer(draw(6, 3, seed=step), training=freeze)
    assert unchanged(layer, before)


def test_permuting_clips_permutes_codes():
    layer, order = small(), np.array([3, 0, 2, 1])
    x = draw(4, 3)
    np.testing.assert_array_equal(
        array(layer(x)["indices"])[order], array(layer(x[order])["indices"])
    )


def test_first_steps_keep_unused_codes_in_place():
    warm, cold = (
        small(dead_code_patience=None),
        small(dead_code_patience=None, zero_initial_counts=True),
    )
    x = np.tile(array(warm.codebook)[:1], (8, 1))
    start = array(warm.codebook)
    for layer in (warm, cold):
        layer(x, training=True)
    np.testing.assert_allclose(array(warm.codebook)[1:], start[1:], rtol=1e-4)
    assert np.abs(array(cold.codebook)[1:]).max() > 100 * np.abs(start).max()


def test_vectors_of_no_weight_leave_no_trace():
    weighed, fewer = small(), small()
    x = draw(6, 3)
    weighed(x, weights=np.array([1, 1, 1, 1, 0, 0], "float32"), training=True)
    fewer(x[:4], training=True)
    np.testing.assert_allclose(array(weighed.codebook), array(fewer.codebook), rtol=1e-6)


def crowded(layer):
    """Vectors that all fall on code 0, whose place no other code is near."""
    far = np.full((4, 3), 100.0, "float32") + draw(4, 3)
    codes = array(layer.codebook)
    codes[0] = 100.0
    layer.codebook.assign(codes)
    layer.ema_sums.assign(codes)
    return far


@pytest.mark.parametrize("replacement", ["input", "code"])
def test_dead_codes_revive_next_to_what_is_used(replacement):
    layer = small(dead_code_patience=3, replacement=replacement)
    x = crowded(layer)
    for _ in range(3):
        layer(x, training=True)
    assert np.abs(array(layer.codebook)[1:]).max() < 2
    layer(x, training=True)
    assert array(layer.codebook)[1:].min() > 90
    assert array(layer.steps_since_used).max() == 0


def test_revived_codes_stay_revived():
    layer = small(dead_code_patience=3)
    x = crowded(layer)
    for _ in range(4):
        layer(x, training=True)
    revived = array(layer.codebook)
    layer(x, training=True)
    assert np.abs(array(layer.codebook) - revived).max() < 2


def test_the_authors_revival_does_not_last():
    layer = small(dead_code_patience=3, reset_replaced_state=False)
    x = crowded(layer)
    for _ in range(4):
        layer(x, training=True)
    assert array(layer.codebook)[1:].min() > 90
    layer(x, training=True)
    assert np.abs(array(layer.codebook)[1:]).min() < 2


def test_the_authors_code_revives_in_evaluation_too():
    layer = small(dead_code_patience=3, replace_in_evaluation=True)
    x = crowded(layer)
    for _ in range(4):
        layer(x, training=False)
    assert array(layer.codebook)[1:].min() > 90


@pytest.mark.parametrize("training", [False, True])
def test_a_frozen_codebook_revives_nothing_in_evaluation(training):
    layer = small(dead_code_patience=3, replace_in_evaluation=True)
    x = crowded(layer)
    layer.trainable = False
    before = [array(v) for v in layer.variables]
    for _ in range(4):
        layer(x, training=training)
    for old, new in zip(before, layer.variables, strict=True):
        np.testing.assert_array_equal(array(new), old)


def test_k_means_start_finds_clusters():
    centers = np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 10], [-10, 0, 0], [0, -10, 0]], "float32")
    points = np.concatenate([c + 0.1 * draw(20, 3, seed=i) for i, c in enumerate(centers)])
    layer = small()
    layer.adapt(points.reshape(10, 10, 3))
    codes = array(layer.codebook)
    order = numpy_reference.nearest_codes(centers, codes)
    assert sorted(order) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(codes[order], centers, atol=0.2)
    np.testing.assert_array_equal(array(layer.ema_sums), codes)


def test_k_means_start_with_fewer_vectors_than_codes():
    layer = small()
    layer.adapt(draw(2, 3))
    assert len({tuple(code) for code in array(layer.codebook)}) == 5


def test_one_code():
    layer = small(num_embeddings=1)
    out = layer(draw(4, 3), training=True)
    assert array(out["indices"]).tolist() == [0, 0, 0, 0]


def test_equal_vectors_keep_the_codebook_finite():
    layer = small(dead_code_patience=2)
    for _ in range(6):
        layer(np.ones((4, 3), "float32"), training=True)
    assert np.isfinite(array(layer.codebook)).all()
    assert np.abs(array(layer.codebook) - 1).max() < 1


def test_state_is_float32_and_codes_exact_under_half_precision():
    layer = small(dtype="mixed_float16")
    x = ops.cast(draw(4, 3), "float16")
    out = layer(x, training=True)
    assert keras.backend.standardize_dtype(out["quantized"].dtype) == "float32"
    assert layer.codebook.dtype == "float32"


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_embeddings": 0}, "`num_embeddings` must be at least 1. Received: 0"),
        ({"embedding_dim": 0}, "`embedding_dim` must be at least 1"),
        ({"decay": 1.0}, r"`decay` must lie in \[0, 1\). Received: 1.0"),
        ({"replacement": "prayer"}, r"`replacement` must be one of .*'prayer'"),
        ({"gradient": "none"}, r"`gradient` must be one of .*'none'"),
        ({"dead_code_patience": 0}, "`dead_code_patience` must be at least 1 or None"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Codebook(**arguments)


@pytest.mark.parametrize("inputs", [draw(2, 4), {"audio": draw(2, 4)}, draw(3), draw(2, 2, 2, 3)])
def test_bad_inputs_are_named(inputs):
    with pytest.raises(ValueError, match=r"must have shape \(batch, \[frames,\] 3\)"):
        small()(inputs)


@pytest.mark.parametrize(
    "features, message",
    [
        (draw(4, 2), r"`features` must have shape \(\.\.\., 3\).*\(4, 2\)"),
        (np.zeros((0, 3)), "at least one vector"),
        (np.full((2, 3), np.nan), "`features` must be finite"),
    ],
)
def test_bad_features_for_k_means_are_named(features, message):
    with pytest.raises(ValueError, match=message):
        small().adapt(features)


@pytest.mark.every_engine
@pytest.mark.parametrize("kind", [Codebook, Prototypes])
def test_encode_and_decode_give_the_indices_and_codes_of_a_call(kind):
    layer = kind(num_embeddings=5, embedding_dim=4)
    layer.adapt(np.random.default_rng(0).standard_normal((40, 4)))
    x = np.random.default_rng(1).standard_normal((3, 7, 4)).astype("float32")
    before = [np.array(ops.convert_to_numpy(v)) for v in layer.variables]
    indices = layer.encode(x)
    codes = layer.decode(indices)
    assert keras.backend.standardize_dtype(indices.dtype) == "int32"
    assert tuple(indices.shape) == (3, 7) and tuple(codes.shape) == (3, 7, 4)
    # A code is its own nearest code.
    np.testing.assert_array_equal(array(layer.encode(codes)), array(indices))
    for variable, value in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    outputs = layer(x, training=False)
    np.testing.assert_array_equal(array(indices), array(outputs["indices"]))
    np.testing.assert_array_equal(array(codes), array(ops.stop_gradient(outputs["codes"])))
