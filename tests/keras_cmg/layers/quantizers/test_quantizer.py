"""What holds for every quantiser, whatever it is."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg import layers
from tests.helpers.layer_checks import check_layer, gradient, numpy_state, unchanged
from tests.keras_cmg.layers.quantizers.family import DIM, FAMILY, LEARNS_NOTHING

PASS_ON = {"Codebook", "LFQ", "GroupedQuantizer", "LearnedCodebook"}
PASS_ON |= {"GroupedQuantizer of residual", "ResidualQuantizer", "ResidualQuantizer shared"}
"""Quantisers that pass each gradient on unchanged, not multiplied by their levels."""
COMPILED = {"BSQ", "Codebook cosine", "FSQ", "LearnedCodebook diveq"}
COMPILED |= {"ResidualQuantizer", "ResidualQuantizer beam"}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def losses(layer):
    return [float(array(loss)) for loss in layer.losses]


def test_every_quantizer_is_in_the_family():
    classes = {type(make()).__name__ for make in FAMILY.values()}
    public = {
        name
        for name in layers.__all__
        if isinstance(value := getattr(layers, name), type) and issubclass(value, layers.Quantizer)
    }
    # Prototypes are moved by losses of their model alone, rows need to know the modality of a
    # vector: they have tests of their own.
    assert classes == public - {"Quantizer", "AlignedCodebook", "Prototypes"}


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")
def test_layer_checks(name, tmp_path):
    check_layer(FAMILY[name], (draw(6, 3, DIM),), tmp_path, full_precision=True)


@pytest.mark.parametrize("name", FAMILY)
def test_outputs_agree_with_encode_and_decode(name):
    layer, x = FAMILY[name](), draw(6, 3, DIM)
    out = layer(x)
    indices = array(out["indices"])
    assert indices.shape == (6, 3, *layer.index_shape) and indices.dtype == "int32"
    assert indices.min() >= 0 and indices.max() < layer.num_embeddings
    np.testing.assert_array_equal(array(layer.encode(x)), indices)
    np.testing.assert_allclose(array(layer.decode(indices)), array(out["codes"]), atol=1e-6)
    np.testing.assert_allclose(array(out["quantized"]), array(out["codes"]), atol=1e-6)
    again = layer.assign_codes(x)
    for key, value in out.items():
        np.testing.assert_array_equal(array(again[key]), array(value))
    # A vector alone is quantised as among others, and so are modalities in a dict.
    pair = layer({"audio": x[:, 0], "video": x[:2]})
    np.testing.assert_array_equal(array(pair["audio"]["indices"]), indices[:, 0])
    np.testing.assert_array_equal(array(pair["video"]["indices"]), indices[:2])


@pytest.mark.parametrize("name", FAMILY)
def test_codes_have_one_index_each(name):
    layer = FAMILY[name]()
    layer.build((None, DIM))
    if layer.index_shape:
        with pytest.raises(ValueError, match="no single codebook"):
            _ = layer.codebook
        with pytest.raises(ValueError, match="quantiser of one index"):
            next(layer.code_blocks())
        return
    codes = array(layer.codebook)
    assert codes.shape == (layer.num_embeddings, DIM)
    # Points of the grid are no inputs at which the bound of FSQ, or a map, returns them.
    if name not in ("FSQ", "ProjectedQuantizer"):
        np.testing.assert_array_equal(array(layer.encode(codes)), np.arange(len(codes)))
    blocks = [array(block) for block in layer.code_blocks(block_size=3)]
    assert max(map(len, blocks)) == 3
    np.testing.assert_allclose(np.concatenate(blocks), codes, atol=1e-6)


@pytest.mark.parametrize("name", FAMILY)
def test_vectors_of_no_weight_change_nothing(name):
    """Padded frames, and the partial last batch that they fill."""
    x = draw(4, 5, DIM)
    padded = np.concatenate([x, 100 * draw(2, 5, DIM, seed=1)])
    weights = np.repeat([1, 1, 1, 1, 0, 0], 5).reshape(6, 5).astype("float32")
    with_padding, without = FAMILY[name](), FAMILY[name]()
    for layer in (with_padding, without):
        layer.build((None, DIM))
        if getattr(layer, "noise_scale", 0) and layer.gradient == "diveq":
            layer.noise_scale = 0.0
    for _ in range(2):
        long = with_padding(padded, weights=weights, training=True)
        short = without(x, training=True)
        np.testing.assert_array_equal(array(long["indices"])[:4], array(short["indices"]))
        np.testing.assert_allclose(losses(with_padding), losses(without), rtol=1e-5, atol=1e-7)
    for a, b in zip(with_padding.variables, without.variables, strict=True):
        np.testing.assert_allclose(array(a), array(b), rtol=1e-5, atol=1e-6, err_msg=a.path)


@pytest.mark.parametrize("name", FAMILY)
def test_where_nothing_counts_no_code_moves(name):
    layer = FAMILY[name]()
    layer.build((None, DIM))
    codes = [array(v) for v in layer.variables if not v.path.endswith("step")]
    layer(draw(4, DIM), weights=np.zeros(4, "float32"), training=True)
    after = [array(v) for v in layer.variables if not v.path.endswith("step")]
    for a, b in zip(codes, after, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert np.isfinite(losses(layer)).all()


@pytest.mark.parametrize("name", FAMILY)
def test_evaluation_and_frozen_training_change_nothing_and_are_not_noisy(name):
    layer, x = FAMILY[name](), draw(6, 3, DIM)
    layer(x, training=True)
    layer.trainable = False
    before = numpy_state(layer)
    outputs = [array(layer(x, training=t)["quantized"]) for t in (False, True, False)]
    assert unchanged(layer, before) and layer.losses == []
    for value in outputs[1:]:
        np.testing.assert_array_equal(value, outputs[0])


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_half_precision_loses_no_code(name, half):
    mixed, full = FAMILY[name](dtype=f"mixed_{half}"), FAMILY[name]()
    x = ops.cast(draw(6, 3, DIM), half)
    out = mixed(x, training=True)
    np.testing.assert_array_equal(
        array(out["indices"]), array(full(array(ops.cast(x, "float32")), training=True)["indices"])
    )
    assert keras.backend.standardize_dtype(out["quantized"].dtype) == "float32"
    assert {v.dtype for v in mixed.variables} <= {"float32", "int32"}


@pytest.mark.parametrize("name", FAMILY)
def test_every_vector_receives_a_gradient(name):
    layer, x = FAMILY[name](), draw(6, DIM)
    layer(x)
    found = gradient(lambda v: ops.sum(layer(v)["quantized"]), 0.1 * x)
    assert np.isfinite(found).all() and (np.abs(found).sum(axis=1) > 0).all()
    if name in PASS_ON:
        np.testing.assert_allclose(found, 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", FAMILY)
def test_code_metrics_count_codes(name):
    layer, x = FAMILY[name](), draw(40, DIM)
    indices = array(layer(x)["indices"])
    counted = {key: float(value) for key, value in layer.code_metrics(indices).items()}
    columns = indices.reshape(40, -1)
    used = np.mean([len(np.unique(column)) for column in columns.T])
    np.testing.assert_allclose(counted["used"], used, rtol=1e-6)
    np.testing.assert_allclose(counted["unused"], layer.num_embeddings - used, rtol=1e-6)
    shares = [np.unique(column, return_counts=True)[1] / 40 for column in columns.T]
    expected = np.mean([np.exp(-(share * np.log(share)).sum()) for share in shares])
    np.testing.assert_allclose(counted["perplexity"], expected, rtol=1e-4)
    weights = np.arange(40) < 1
    assert float(layer.code_metrics(indices, weights.astype("float32"))["used"]) == 1


def test_bad_inputs_are_named():
    with pytest.raises(ValueError, match=r"FSQ inputs of 'audio' must have shape .* 2\)"):
        layers.FSQ((5, 5))({"audio": draw(3, 4)})


def test_an_implicit_codebook_is_built_in_bounded_memory():
    layer = layers.LFQ(num_bits=30)
    with pytest.raises(ValueError, match="at most 67108864 numbers"):
        _ = layer.codebook
    assert array(next(layer.code_blocks())).shape == (65536, 30)


@pytest.mark.every_engine
@pytest.mark.filterwarnings("ignore:.*Gradients do not exist for variables")
def test_the_family_trains_compiled_and_rests_in_evaluation(tmp_path):
    """Quantisers in one model, so that each engine compiles once: every kind of state and loss."""
    torch = keras.backend.backend() == "torch"
    names = [name for name in FAMILY if torch or name in COMPILED]
    quantizers = {name: FAMILY[name](name=name.replace(" ", "_")) for name in names}
    inputs, weights = keras.Input((3, DIM)), keras.Input((3,))
    encoded = keras.layers.Dense(DIM, name="encoder")
    outputs = {
        name: q(encoded(inputs), weights=weights)["quantized"] for name, q in quantizers.items()
    }
    model = keras.Model([inputs, weights], keras.layers.Concatenate()(list(outputs.values())))
    # XLA is left to JAX: on TensorFlow it takes minutes to compile what JAX does in seconds.
    jit = "auto" if keras.backend.backend() == "jax" else False
    model.compile("adam", "mse", jit_compile=jit)
    x, ones = draw(8, 3, DIM), np.ones((8, 3), "float32")
    target = np.tile(x, (1, 1, len(names)))
    before = {name: numpy_state(q) for name, q in quantizers.items()}
    history = model.fit([x, ones], target, batch_size=4, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for name, q in quantizers.items():
        assert unchanged(q, before[name]) == (name in LEARNS_NOTHING), name
    after = {name: numpy_state(q) for name, q in quantizers.items()}
    model.evaluate([x, ones], target, batch_size=4, verbose=0)
    for name, q in quantizers.items():
        assert unchanged(q, after[name]), name
    if keras.backend.backend() == "tensorflow":
        model.export(tmp_path / "served", verbose=False)
        import tensorflow as tf

        loaded = tf.saved_model.load(str(tmp_path / "served"))
        served = loaded.serve([x, ones]).numpy()
        np.testing.assert_allclose(served, array(model([x, ones])), atol=1e-5)


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_state_is_float32_where_all_of_a_model_is_half_precision(half):
    layer = layers.Codebook(8, DIM, initial_scale=1.0, dtype=half)
    full = layers.Codebook(8, DIM, initial_scale=1.0)
    x = ops.cast(draw(6, DIM), half)
    for quantizer in (layer, full):
        quantizer(x, training=True)
    np.testing.assert_array_equal(array(layer.codebook), array(full.codebook))
    assert keras.backend.standardize_dtype(layer(x)["quantized"].dtype) == "float32"


WITHIN = {
    "GroupedQuantizer": lambda inner: layers.GroupedQuantizer([inner, layers.SimVQ(4, 2)]),
    "ProjectedQuantizer": lambda inner: layers.ProjectedQuantizer(inner, 4),
    "ResidualQuantizer": lambda inner: layers.ResidualQuantizer([inner, layers.SimVQ(4, 2)]),
    "ResidualQuantizer shared": lambda inner: layers.ResidualQuantizer(inner, 2, shared=True),
}


@pytest.mark.parametrize("name", WITHIN)
@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Codebook(4, 2, initial_scale=1.0),
        lambda: layers.LearnedCodebook(4, 2, gradient="diveq", dead_code_patience=1),
    ],
)
def test_a_quantizer_within_another_is_frozen_by_itself(name, make):
    inner = make()
    layer = WITHIN[name](inner)
    part = layer.quantizer if name == "ProjectedQuantizer" else layer.part(0)
    x = draw(6, layer.embedding_dim)
    layer(x, training=True)
    part.trainable = False
    before, losses_before = numpy_state(part), len(layer.losses)
    layer(x, training=True)
    assert unchanged(part, before)
    if type(inner) is layers.LearnedCodebook:
        assert len(layer.losses) < losses_before
    part.trainable = True
    layer(x, training=True)
    assert not unchanged(part, before)


@pytest.mark.parametrize("name", FAMILY)
def test_codes_can_be_computed_before_the_first_call(name):
    layer, x = FAMILY[name](), draw(6, DIM)
    indices = array(layer.encode(x))
    before = numpy_state(layer)
    np.testing.assert_array_equal(array(layer(x)["indices"]), indices)
    assert unchanged(layer, before)
    np.testing.assert_allclose(
        array(FAMILY[name]().decode(indices)), array(layer.decode(indices)), atol=1e-6
    )


def test_levels_left_out_of_a_step_are_not_counted():
    layer = layers.ResidualQuantizer(layers.LFQ(2), num_levels=2)
    indices = np.array([[0, -1], [3, 1]])
    found = {key: float(value) for key, value in layer.code_metrics(indices).items()}
    assert found == pytest.approx({"perplexity": 1.5, "used": 1.5, "unused": 2.5}, rel=1e-5)


def test_codes_are_those_of_float64_where_the_layer_is():
    layer = layers.FSQ((5, 4), scale=0.1, symmetric=True, dtype="float64")
    out = layer(np.random.default_rng(0).standard_normal((20, 2)))
    codes = array(layer.decode(out["indices"]))
    assert codes.dtype == "float64"
    np.testing.assert_allclose(codes, array(out["codes"]), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("inputs", "weights", "message"),
    [
        ((3, 2), {"audio": (3,)}, "`weights` of FSQ must be a tensor, as the inputs are"),
        ({"audio": (3, 2)}, (3,), "`weights` of FSQ must be a dict, as the inputs are"),
        ({"audio": (3, 2)}, {"video": (3,)}, r"name modalities of the inputs, \('audio',\)"),
        ((3, 5, 2), (3, 4), r"or \(batch, frames\), here \(3, 5\)\. Received shape \(3, 4\)"),
        ((3, 5, 2), (3, 5, 1), r"or \(batch, frames\), here .*Received shape \(3, 5, 1\)"),
        ((3, 2), (3, 3), r"`weights` must have shape .*Received shape \(3, 3\)"),
    ],
)
def test_bad_weights_are_named(inputs, weights, message):
    def arrays(shapes):
        if isinstance(shapes, dict):
            return {name: np.ones(shape, "float32") for name, shape in shapes.items()}
        return np.ones(shapes, "float32")

    with pytest.raises(ValueError, match=message):
        layers.FSQ((5, 5))(arrays(inputs), weights=arrays(weights))


def test_weights_of_clips_may_have_an_axis_of_one():
    x = draw(4, DIM)
    found = []
    for shape in ((4,), (4, 1)):
        layer = layers.Codebook(8, DIM, initial_scale=1.0)
        layer(x, weights=np.arange(4.0).reshape(shape), training=True)
        found.append(array(layer.codebook))
    np.testing.assert_array_equal(*found)


def masked_model(kind, masked):
    """Words, of which 0 is padding; the mask is Keras' own, or passed as weights."""
    words = keras.Input((5,), dtype="int32")
    embedding = keras.layers.Embedding(
        9, DIM, mask_zero=masked, embeddings_initializer=keras.initializers.RandomNormal(seed=1)
    )
    quantizer = FAMILY[kind](name="quantizer")
    weights = None if masked else keras.ops.cast(keras.ops.not_equal(words, 0), "float32")
    outputs = quantizer(embedding(words), weights=weights)["quantized"]
    return keras.Model(words, outputs)


@pytest.mark.parametrize("kind", ["Codebook", "LFQ", "ResidualQuantizer shared"])
def test_the_mask_of_keras_leaves_padding_out(kind, tmp_path):
    words = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0], [6, 7, 8, 1, 2]])
    found = []
    for masked in (True, False):
        model = masked_model(kind, masked)
        assert (getattr(model.output, "_keras_mask", None) is not None) == masked
        layer = model.get_layer("quantizer")
        model(words, training=True)
        found.append([*map(array, layer.variables), losses(model)])
    for with_mask, with_weights in zip(*found, strict=True):
        np.testing.assert_allclose(with_mask, with_weights, rtol=1e-6, atol=1e-7)
    model = masked_model(kind, True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(again(words)), array(model(words)))


def test_the_mask_of_keras_is_passed_on_for_each_modality():
    quantizer = layers.FSQ((5, 5))
    words, sound = np.array([[1, 0]]), draw(1, 3, 2)
    text = keras.layers.Embedding(4, 2, mask_zero=True)(words)
    out = quantizer({"text": text, "audio": ops.convert_to_tensor(sound)})
    masks = {m: getattr(x["quantized"], "_keras_mask", None) for m, x in out.items()}
    assert array(masks["text"]).tolist() == [[True, False]] and masks["audio"] is None
